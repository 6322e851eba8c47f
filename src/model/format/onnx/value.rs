//! A tensor in a graph: its shape and its elements.

use bytes::Bytes;
use half::{bf16, f16};

use crate::model::payload::{Datatype, TensorData};

/// A tensor: the length of each axis, and the elements, row-major. An empty shape is a single element.
///
/// Invariant: there are as many elements as the shape says. Elements are never FP16 or BF16: tensors of these types are
/// converted to FP32 when they enter a graph, and computed in f32.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Value {
    shape: Vec<usize>,
    data: TensorData,
}

impl Value {
    /// Creates a tensor of the given shape.
    ///
    /// # Errors
    /// Returns an error if the number of elements is not the product of `shape`.
    pub(crate) fn new(shape: Vec<usize>, data: TensorData) -> Result<Self, String> {
        if count(&shape) != Some(data.len()) {
            let elements = data.len();
            return Err(format!("got {elements} elements for shape {shape:?}"));
        }
        Ok(Self { shape, data })
    }

    /// Creates a tensor of the given shape from a vector.
    ///
    /// # Errors
    /// Returns an error if the number of elements is not the product of `shape`.
    pub(crate) fn of<T: Element>(shape: Vec<usize>, elements: Vec<T>) -> Result<Self, String> {
        Self::new(shape, T::into_data(elements))
    }

    /// Creates a tensor of rank 1.
    pub(crate) fn vector<T: Element>(elements: Vec<T>) -> Self {
        Self {
            shape: vec![elements.len()],
            data: T::into_data(elements),
        }
    }

    /// Creates a tensor of rank 0.
    pub(crate) fn scalar<T: Element>(element: T) -> Self {
        Self {
            shape: Vec::new(),
            data: T::into_data(vec![element]),
        }
    }

    /// Returns the length of each axis.
    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Returns the number of axes.
    pub(crate) fn rank(&self) -> usize {
        self.shape.len()
    }

    /// Returns the number of elements.
    pub(crate) fn len(&self) -> usize {
        self.data.len()
    }

    /// Returns the type of the elements.
    pub(crate) fn datatype(&self) -> Datatype {
        self.data.datatype()
    }

    /// Returns the elements, row-major.
    pub(crate) fn data(&self) -> &TensorData {
        &self.data
    }

    /// Returns the elements, row-major.
    ///
    /// # Errors
    /// Returns an error if they have another type.
    pub(crate) fn elements<T: Element>(&self) -> Result<&[T], String> {
        T::slice(&self.data).ok_or_else(|| mismatch::<T>(self.datatype()))
    }

    /// Returns the elements, row-major, without a copy.
    ///
    /// # Errors
    /// Returns an error if they have another type.
    pub(crate) fn into_elements<T: Element>(self) -> Result<Vec<T>, String> {
        let datatype = self.datatype();
        T::from_data(self.data).ok_or_else(|| mismatch::<T>(datatype))
    }

    /// Returns shape and elements, without a copy.
    pub(crate) fn into_parts(self) -> (Vec<usize>, TensorData) {
        (self.shape, self.data)
    }

    /// Returns the same elements in another shape, without a copy.
    ///
    /// # Errors
    /// Returns an error if the number of elements is not the product of `shape`.
    pub(crate) fn with_shape(self, shape: Vec<usize>) -> Result<Self, String> {
        Self::new(shape, self.data)
    }

    /// Returns the bytes that the elements take in memory, without what strings point to.
    pub(crate) fn bytes(&self) -> usize {
        let width = self.datatype().width();
        self.len() * width.unwrap_or(size_of::<Bytes>())
    }
}

/// The most elements of a tensor that an operator creates.
pub(crate) const MOST_ELEMENTS: usize = 1 << 28;

/// Returns the number of elements of an output of the given shape, before memory is allocated for it.
///
/// # Errors
/// Returns an error if there are more than [`MOST_ELEMENTS`].
pub(crate) fn limited(shape: &[usize]) -> Result<usize, String> {
    match count(shape) {
        Some(count) if count <= MOST_ELEMENTS => Ok(count),
        _ => Err(format!(
            "got an output of shape {shape:?}, expected at most {MOST_ELEMENTS} elements"
        )),
    }
}

/// Returns the product of `shape`. Returns `None` if the product of the lengths that are not zero does not fit, so that products of
/// some lengths of a valid shape always fit.
pub(crate) fn count(shape: &[usize]) -> Option<usize> {
    let mut lengths = shape.iter().filter(|length| **length != 0);
    let product = lengths.try_fold(1_usize, |product, length| product.checked_mul(*length))?;
    Some(if shape.contains(&0) { 0 } else { product })
}

fn mismatch<T: Element>(got: Datatype) -> String {
    format!("got elements of type {got}, expected {}", T::DATATYPE)
}

/// A type of elements.
pub(crate) trait Element: Clone + Default + Send + Sync + 'static {
    /// The type as a value.
    const DATATYPE: Datatype;

    /// Returns the elements if they have this type.
    fn slice(data: &TensorData) -> Option<&[Self]>;

    /// Returns the elements if they have this type, without a copy.
    fn from_data(data: TensorData) -> Option<Vec<Self>>;

    /// Wraps a vector.
    fn into_data(elements: Vec<Self>) -> TensorData;
}

macro_rules! element {
    ($($type:ty: $variant:ident,)*) => {
        $(
            impl Element for $type {
                const DATATYPE: Datatype = Datatype::$variant;

                fn slice(data: &TensorData) -> Option<&[Self]> {
                    match data {
                        TensorData::$variant(elements) => Some(elements),
                        _ => None,
                    }
                }

                fn from_data(data: TensorData) -> Option<Vec<Self>> {
                    match data {
                        TensorData::$variant(elements) => Some(elements),
                        _ => None,
                    }
                }

                fn into_data(elements: Vec<Self>) -> TensorData {
                    TensorData::$variant(elements)
                }
            }
        )*
    };
}

element! {
    bool: Bool,
    i8: Int8,
    i16: Int16,
    i32: Int32,
    i64: Int64,
    u8: Uint8,
    u16: Uint16,
    u32: Uint32,
    u64: Uint64,
    f16: Fp16,
    bf16: Bf16,
    f32: Fp32,
    f64: Fp64,
    Bytes: Bytes,
}
