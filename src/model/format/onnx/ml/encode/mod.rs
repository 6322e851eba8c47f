//! Operators that replace values by others, or by positions in a list: LabelEncoder, CategoryMapper and OneHotEncoder.

mod keys;
mod label_encoder;
mod mapper;
mod one_hot;

#[cfg(test)]
mod tests;

pub(super) use label_encoder::ENTRY as LABEL_ENCODER;
pub(super) use mapper::ENTRY as CATEGORY_MAPPER;
pub(super) use one_hot::ENTRY as ONE_HOT_ENCODER;
