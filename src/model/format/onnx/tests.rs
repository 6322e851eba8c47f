pub(crate) mod answers;
