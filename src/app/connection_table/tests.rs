use std::task::{Context, Waker};

use super::*;

const MAX_IDLE: Duration = Duration::from_secs(100);
const MAX_AGE: Duration = Duration::from_secs(1000);
const AGE_GRACE: Duration = Duration::from_secs(50);
const PING_AFTER: Duration = Duration::from_secs(5000);
const ANSWER_WITHIN: Duration = Duration::from_secs(7);
const LIMITS: ConnectionLimits = ConnectionLimits {
    max_connections: 2,
    max_idle: Some(MAX_IDLE),
    max_age: Some(MAX_AGE),
    age_grace: AGE_GRACE,
    silence: Some(SilenceLimits {
        ping_after: PING_AFTER,
        answer_within: ANSWER_WITHIN,
    }),
};

fn table() -> Arc<ConnectionTable> {
    ConnectionTable::new(LIMITS, Telemetry::new().unwrap())
}

fn close_of(ticket: &Ticket) -> Close {
    let cx = Context::from_waker(Waker::noop());
    ticket.state().poll_close(&cx)
}

fn closed(table: &ConnectionTable, reason: &str, want: u64) {
    let line = format!("taper_closed_connections_total{{reason=\"{reason}\"}} {want}");
    let text = table.telemetry.render();
    assert!(text.lines().any(|have| have == line), "{line}\n{text}");
}

#[test]
fn an_idle_connection_closes_gracefully_and_without_its_client_after_a_while() {
    let (table, begin) = (table(), Instant::now());
    let ticket = table.open(begin).unwrap();
    let at = |duration| {
        table.sweep(begin + duration);
        close_of(&ticket)
    };
    assert_eq!(at(MAX_IDLE - Duration::from_nanos(1)), Close::Not);
    assert_eq!(at(MAX_IDLE), Close::Gracefully);
    assert_eq!(at(MAX_IDLE), Close::Gracefully);
    assert_eq!(at(MAX_IDLE + ACKNOWLEDGE_TIMEOUT), Close::Now);
    closed(&table, "idle", 1);
}

#[test]
fn a_connection_is_idle_from_the_end_of_its_last_request() {
    let (table, begin) = (table(), Instant::now());
    let ticket = table.open(begin).unwrap();
    let at = |duration| {
        table.sweep(begin + duration);
        close_of(&ticket)
    };
    let request = ticket.state().begin_request();
    assert_eq!(at(MAX_IDLE * 2), Close::Not);
    drop(request);
    // It ended between two observations, so idle time counts from the second.
    assert_eq!(at(MAX_IDLE * 3), Close::Not);
    assert_eq!(at(MAX_IDLE * 4), Close::Gracefully);
    // A request that came before the client knew is answered.
    let late = ticket.state().begin_request();
    assert_eq!(at(MAX_IDLE * 4 + ACKNOWLEDGE_TIMEOUT), Close::Gracefully);
    drop(late);
    let ended = MAX_IDLE * 4 + ACKNOWLEDGE_TIMEOUT * 2;
    assert_eq!(at(ended), Close::Gracefully);
    assert_eq!(at(ended + ACKNOWLEDGE_TIMEOUT), Close::Now);
}

#[test]
fn an_old_connection_may_finish_its_requests_for_a_while() {
    let (table, begin) = (table(), Instant::now());
    let ticket = table.open(begin).unwrap();
    let _request = ticket.state().begin_request();
    let at = |duration| {
        table.sweep(begin + duration);
        close_of(&ticket)
    };
    let age = spread(MAX_AGE, ticket.id);
    assert_eq!(at(age - Duration::from_nanos(1)), Close::Not);
    assert_eq!(at(age), Close::Gracefully);
    assert_eq!(
        at(age + AGE_GRACE - Duration::from_nanos(1)),
        Close::Gracefully
    );
    assert_eq!(at(age + AGE_GRACE), Close::Now);
    assert_eq!(at(age + AGE_GRACE * 2), Close::Now);
    closed(&table, "age", 1);
    closed(&table, "age_grace", 1);
}

#[test]
fn connections_that_begin_together_do_not_end_together() {
    let ages: Vec<_> = (0..100).map(|id| spread(MAX_AGE, id)).collect();
    let (least, most) = (MAX_AGE / 10 * 9, MAX_AGE / 10 * 11);
    assert!(ages.iter().all(|age| (least..=most).contains(age)));
    let distinct: std::collections::BTreeSet<_> = ages.iter().collect();
    assert_eq!(distinct.len(), ages.len());
}

#[test]
fn a_full_table_closes_the_connection_that_was_idle_longest_and_refuses_if_none_is() {
    let (table, begin) = (table(), Instant::now());
    let at = |seconds| begin + Duration::from_secs(seconds);
    let first = table.open(at(0)).unwrap();
    let second = table.open(at(1)).unwrap();
    drop(first.state().begin_request());
    let third = table.open(at(2)).unwrap();
    assert_eq!(
        [&first, &second, &third].map(close_of),
        [Close::Not, Close::IfIdle, Close::Not]
    );
    closed(&table, "make_room", 1);
    let _requests = [&first, &third].map(|ticket| ticket.state().begin_request());
    assert!(table.open(at(3)).is_none());
    // The evicted connection has ended; it did not count any more.
    drop(second);
    assert!(table.open(at(4)).is_none());
    drop(first);
    assert!(table.open(at(5)).is_some());
    let text = table.telemetry.render();
    assert!(text.contains("taper_refused_connections_total 2"), "{text}");
}

#[test]
fn sweeps_are_as_frequent_as_the_shortest_limit_requires() {
    let limits = |max_idle| ConnectionLimits {
        max_idle: Some(Duration::from_secs(max_idle)),
        silence: None,
        ..LIMITS
    };
    assert_eq!(limits(1).sweep_interval(), Duration::from_millis(125));
    assert_eq!(limits(1000).sweep_interval(), AGE_GRACE / 8);
    let unlimited = ConnectionLimits {
        max_idle: None,
        max_age: None,
        silence: None,
        ..LIMITS
    };
    assert_eq!(unlimited.sweep_interval(), SWEEP_INTERVALS.1);
    assert_eq!(LIMITS.sweep_interval(), ANSWER_WITHIN / 8);
}

#[test]
fn a_connection_whose_requests_wait_makes_room_if_none_has_been_idle_long() {
    let (table, begin) = (table(), Instant::now());
    let (half, answered) = (table.open(begin).unwrap(), table.open(begin).unwrap());
    let _half = half.state().begin_request();
    let mut request = answered.state().begin_request();
    request.begin_answer();
    assert!(table.open(begin).is_none(), "neither has waited long");
    let late = begin + LONG;
    let new = table.open(late).expect("one has");
    assert_eq!(
        (close_of(&half), close_of(&answered)),
        (Close::Now, Close::Not)
    );
    closed(&table, "make_room", 1);
    drop(half);
    // A connection between two requests stays while another waits.
    let waiting = new.state().begin_request();
    table.sweep(late);
    drop(request);
    table.sweep(late + LONG / 2);
    let newer = table.open(late + LONG);
    assert!(newer.is_some());
    assert_eq!(
        (close_of(&new), close_of(&answered)),
        (Close::Now, Close::Not)
    );
    drop((waiting, newer));
}

#[test]
fn connections_with_answers_stay_while_most_have_had_none() {
    let limits = ConnectionLimits {
        max_connections: 4,
        ..LIMITS
    };
    let table = ConnectionTable::new(limits, Telemetry::new().unwrap());
    let begin = Instant::now();
    let client = table.open(begin).unwrap();
    client.state().begin_request().begin_answer();
    let mut others: Vec<_> = (0..3).map(|_| table.open(begin).unwrap()).collect();
    let _half = [&others[1], &others[2]].map(|ticket| ticket.state().begin_request());
    // The only idle one that has had no answer makes room, though the client was opened before it.
    others.push(table.open(begin).expect("room"));
    assert_eq!(close_of(&others[0]), Close::IfIdle);
    let _more = others[3].state().begin_request();
    assert!(table.open(begin).is_none(), "only the client is idle");
    assert_eq!(close_of(&client), Close::Not);
    // Those that have waited long make room.
    let first = table.open(begin + LONG).expect("room");
    assert_eq!(close_of(&client), Close::Not);
    // Once half of them have had an answer, those are as good as any.
    first.state().begin_request().begin_answer();
    drop(others);
    let new: Vec<_> = (0..2)
        .map(|_| table.open(begin + LONG).expect("room"))
        .collect();
    let _busy: Vec<_> = new
        .iter()
        .map(|ticket| ticket.state().begin_request())
        .collect();
    assert!(table.open(begin + LONG).is_some());
    assert_eq!(close_of(&client), Close::IfIdle);
}

#[test]
fn a_silent_client_is_sent_a_ping_and_its_connection_closes_without_an_answer() {
    let limits = ConnectionLimits {
        max_idle: None,
        max_age: None,
        ..LIMITS
    };
    let table = ConnectionTable::new(limits, Telemetry::new().unwrap());
    let begin = Instant::now();
    let (silent, answers) = (table.open(begin).unwrap(), table.open(begin).unwrap());
    // A request that is open does not matter: its client may be gone.
    let _request = silent.state().begin_request();
    let at = |duration| {
        table.sweep(begin + duration);
        let pings = [&silent, &answers].map(|ticket| ticket.state().take_ping());
        (pings, close_of(&silent))
    };
    let none = [false; 2];
    let almost = PING_AFTER - Duration::from_nanos(1);
    assert_eq!(at(almost), (none, Close::Not));
    assert_eq!(at(PING_AFTER), ([true; 2], Close::Not));
    answers.state().hear();
    assert_eq!(at(PING_AFTER + ANSWER_WITHIN / 2), (none, Close::Not));
    assert_eq!(at(PING_AFTER + ANSWER_WITHIN), (none, Close::Now));
    closed(&table, "unresponsive", 1);
    assert_eq!(close_of(&answers), Close::Not);
    let again = PING_AFTER * 2 + ANSWER_WITHIN / 2;
    assert_eq!(at(again), ([false, true], Close::Now));
    closed(&table, "unresponsive", 1);
}

#[test]
fn a_client_that_goes_on_with_calls_after_the_notice_is_cut() {
    let (table, begin) = (table(), Instant::now());
    let aged = table.open(begin).unwrap();
    let at = |duration| {
        drop(aged.state().begin_request());
        table.sweep(begin + duration);
        close_of(&aged)
    };
    let age = spread(MAX_AGE, aged.id);
    assert_eq!(at(age), Close::Gracefully);
    let almost = age + AGE_GRACE - Duration::from_nanos(1);
    assert_eq!(at(almost), Close::Gracefully);
    assert_eq!(at(age + AGE_GRACE), Close::Now);
    closed(&table, "age_grace", 1);
}

#[test]
fn connections_that_made_room_and_go_on_are_few_and_are_cut() {
    let (table, begin) = (table(), Instant::now());
    let mut tickets = Vec::new();
    for _ in 0..LIMITS.max_connections + LEAST_EVICTED {
        tickets.push(table.open(begin).expect("room"));
    }
    assert!(table.open(begin).is_none(), "those that made room stay");
    let at = |duration| {
        drop(tickets[0].state().begin_request());
        table.sweep(begin + duration);
        close_of(&tickets[0])
    };
    let almost = EVICTED_GRACE - Duration::from_nanos(1);
    assert_eq!(at(almost), Close::IfIdle);
    assert_eq!(at(EVICTED_GRACE), Close::Now);
}

#[test]
fn a_request_that_is_taken_back_is_no_answer() {
    let ticket = table().open(Instant::now()).unwrap();
    let mut request = ticket.state().begin_request();
    drop(ticket.state().begin_request());
    assert!(!ticket.state().was_answered());
    request.begin_answer();
    assert!(ticket.state().was_answered());
}
