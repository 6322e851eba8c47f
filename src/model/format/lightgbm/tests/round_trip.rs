//! What is written is what is read.

use proptest::prelude::*;

use super::super::read;
use super::writer::{self, Random};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn random_ensembles_are_read_as_they_were_written(seed in any::<u64>()) {
        let ensemble = writer::ensemble(&mut Random::new(seed));
        let text = writer::write(&ensemble, "");
        let model = read(text.as_bytes());
        prop_assert!(model.is_ok(), "seed {}: {:?}\n{}", seed, model, text);
        prop_assert_eq!(model.unwrap().ensemble, ensemble, "seed {}\n{}", seed, text);
    }
}
