//! A gRPC caller that sends each request to the server in one piece, so that the server always takes the same steps.
//!
//! A tonic client writes and reads whenever its runtime schedules it. How often the server wakes up for one request then depends on the
//! speed of both processes, and each wake-up costs some thousand instructions. This caller writes a whole request at once, and only
//! when all threads of the server sleep.

use std::fs;
use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::client::EncodedRequest;

/// Pause between two checks of the threads of the server.
const PAUSE: Duration = Duration::from_micros(200);

// Types and flags of HTTP/2 frames, RFC 9113.
const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const SETTINGS: u8 = 0x4;
const PING: u8 = 0x6;
const WINDOW_UPDATE: u8 = 0x8;
const END_STREAM: u8 = 0x1;
const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

/// A connection that sends the same request repeatedly.
pub(crate) struct Caller {
    socket: BufReader<TcpStream>,
    /// Header block of the first request, and of each later request.
    headers: [Vec<u8>; 2],
    message: Vec<u8>,
    /// The stream id of the next request.
    stream: u32,
    /// The folder in `/proc` that lists the threads of the server.
    threads: PathBuf,
}

impl Caller {
    /// Connects to `address`, on which the process with the id `server` listens.
    pub(crate) fn connect(address: SocketAddr, server: u32, asked: &EncodedRequest) -> Self {
        let mut socket = TcpStream::connect(address).expect("the connection opens");
        socket.set_nodelay(true).expect("a socket");
        let mut opening = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        append_frame(&mut opening, SETTINGS, 0, 0, &[]);
        // The largest window, so that no update of it is needed later.
        let window = (1_u32 << 31) - 1 - 65_535;
        append_frame(&mut opening, WINDOW_UPDATE, 0, 0, &window.to_be_bytes());
        socket.write_all(&opening).expect("written");
        let length = u32::try_from(asked.body.len()).expect("a short message");
        Self {
            socket: BufReader::new(socket),
            headers: header_blocks(asked.path.as_str(), &address.to_string()),
            message: [&[0], &length.to_be_bytes()[..], &asked.body].concat(),
            stream: 1,
            threads: PathBuf::from(format!("/proc/{server}/task")),
        }
    }

    /// Sends the request `number` times, each time after the response to the previous one.
    pub(crate) fn send(&mut self, number: usize) {
        for _ in 0..number {
            let headers = &self.headers[usize::from(self.stream > 1)];
            while !is_asleep(&self.threads) {
                thread::park_timeout(PAUSE);
            }
            let mut request = Vec::new();
            append_frame(&mut request, HEADERS, END_HEADERS, self.stream, headers);
            append_frame(&mut request, DATA, END_STREAM, self.stream, &self.message);
            self.write(&request);
            self.receive();
            self.stream += 2;
        }
    }

    /// Reads frames up to the end of the response. Panics if the response has no message.
    fn receive(&mut self) {
        let mut has_message = false;
        loop {
            let mut head = [0; 9];
            self.socket.read_exact(&mut head).expect("a frame");
            let [a, b, c, kind, flags, ..] = head;
            let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            self.socket.read_exact(&mut payload).expect("a frame");
            match kind {
                DATA => has_message |= !payload.is_empty(),
                HEADERS if flags & END_STREAM != 0 => {
                    assert!(has_message, "the request was refused");
                    return;
                }
                SETTINGS | PING if flags & ACK == 0 => {
                    let payload = if kind == PING { &payload[..] } else { &[] };
                    let mut reply = Vec::new();
                    append_frame(&mut reply, kind, ACK, 0, payload);
                    self.write(&reply);
                }
                HEADERS | SETTINGS | PING | WINDOW_UPDATE => {}
                other => panic!("a frame of type {other}, flags {flags}: {payload:?}"),
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        self.socket.get_mut().write_all(bytes).expect("written");
    }
}

/// Returns whether no thread in the folder `threads` runs or waits for a disk.
fn is_asleep(threads: &Path) -> bool {
    let threads = fs::read_dir(threads).expect("the server runs");
    threads.flatten().all(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat"));
        // The state follows the name, which is in parentheses. A thread that has just ended counts as not asleep.
        let state = stat.map(|stat| {
            stat.rsplit_once(')')
                .map(|(_, rest)| rest.starts_with(" S"))
        });
        state.is_ok_and(|sleeps| sleeps.unwrap_or(false))
    })
}

/// Appends an HTTP/2 frame to `to`.
fn append_frame(to: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("a short frame");
    to.extend(&length.to_be_bytes()[1..]);
    to.extend([kind, flags]);
    to.extend(stream.to_be_bytes());
    to.extend(payload);
}

/// Returns header blocks (RFC 7541): that of the first request, which adds its fields to the dynamic table of the connection, and that of
/// later requests, which refer to these fields by index.
fn header_blocks(path: &str, authority: &str) -> [Vec<u8>; 2] {
    // `:method: POST` and `:scheme: http` of the static table.
    let fixed = [0x83, 0x86];
    let mut first = fixed.to_vec();
    // `:path`, `:authority` and `content-type`, whose names are in the static table.
    for (name, value) in [(4, path), (1, authority), (31, "application/grpc")] {
        first.push(0x40 | name);
        append_text(&mut first, value);
    }
    first.push(0x40);
    append_text(&mut first, "te");
    append_text(&mut first, "trailers");
    // The newest field has index 62.
    let later = [&fixed[..], &[0x80 | 65, 0x80 | 64, 0x80 | 63, 0x80 | 62]].concat();
    [first, later]
}

/// Appends a string literal to `to`: its length, then its bytes.
fn append_text(to: &mut Vec<u8>, text: &str) {
    let length = u8::try_from(text.len()).expect("a short text");
    assert!(length < 127, "{text}: too long for one byte of length");
    to.push(length);
    to.extend(text.as_bytes());
}
