//! Converts a `tensorflow.TensorProto` to a payload tensor and back.

use half::{bf16, f16};

use crate::api::{elements, read};
use crate::error::{InputFault, InputFaults};
use crate::model::OutputTensor;
use crate::model::payload::{Datatype, Tensor, TensorData};
use crate::proto::tensorflow::tensor_shape_proto::Dim;
use crate::proto::tensorflow::{DataType, TensorProto, TensorShapeProto};

/// A limit on the bytes that single values may take which fill the shapes of their tensors.
///
/// Five bytes of a message can stand for a million elements. Therefore all such tensors of a request share one limit, which is checked
/// before any element is made.
#[derive(Debug)]
pub(super) struct FillBudget {
    max: usize,
    spent: usize,
}

impl FillBudget {
    /// Creates a limit of `max` bytes.
    pub(super) fn new(max: usize) -> Self {
        Self { max, spent: 0 }
    }

    /// Returns the bytes that were filled so far.
    pub(super) fn spent(&self) -> usize {
        self.spent
    }

    /// Returns `values`. A single value is repeated as often as `shape` says.
    fn fill<T: Clone>(&mut self, mut values: Vec<T>, shape: &[i64]) -> Result<Vec<T>, TensorError> {
        let [value] = &values[..] else {
            return Ok(values);
        };
        let axes: Result<Vec<_>, _> = shape.iter().map(|axis| usize::try_from(*axis)).collect();
        // Negative axes are refused later, by the signature.
        let Ok(axes) = axes else { return Ok(values) };
        let elements = axes.into_iter().try_fold(1, usize::checked_mul);
        if let Some(0 | 1) = elements {
            return Ok(values);
        }
        let room = self.max - self.spent;
        let bytes = elements.and_then(|elements| elements.checked_mul(size_of::<T>()));
        match (elements, bytes.filter(|bytes| *bytes <= room)) {
            (Some(elements), Some(bytes)) => {
                self.spent += bytes;
                let value = value.clone();
                values.resize(elements, value);
                Ok(values)
            }
            _ => Err(TensorError::TooLarge(self.max)),
        }
    }
}

/// Why a tensor is refused. Inexpensive to make: texts are built only for the faults that are reported.
enum TensorError {
    Type(i32),
    Rank(&'static str),
    /// Elements in a field that does not fit the datatype.
    Surplus(&'static str, Datatype),
    Content(usize, &'static str),
    /// Elements in the right field that the datatype cannot hold.
    Values(&'static str, &'static str),
    /// More bytes than this limit.
    TooLarge(usize),
}

impl TensorError {
    fn fault(self, name: &str) -> InputFault {
        let (part, got, wanted) = match self {
            Self::Type(number) => {
                let got = match DataType::try_from(number) {
                    Ok(DataType::DtInvalid) => "nothing".into(),
                    Ok(known) => known.as_str_name().into(),
                    Err(_) => number.to_string(),
                };
                let wanted = "DT_BOOL, DT_STRING, DT_HALF, DT_BFLOAT16, DT_FLOAT, DT_DOUBLE, or a signed or unsigned integer type";
                ("dtype", got, wanted.into())
            }
            Self::Rank(got) => {
                let wanted = "a shape whose first axis is the number of rows";
                ("tensor_shape", got.into(), wanted.into())
            }
            Self::Surplus(part, Datatype::Bytes) => {
                let wanted = "only `string_val` for DT_STRING";
                (part, "elements".into(), wanted.into())
            }
            Self::Surplus(part, datatype) => {
                let (values, datatype) = (field_of(datatype), to_wire(datatype).as_str_name());
                let wanted = format!("only `{values}`, or only `tensor_content`, for {datatype}");
                (part, "elements".into(), wanted)
            }
            Self::Content(bytes, wanted) => {
                ("tensor_content", format!("{bytes} bytes"), wanted.into())
            }
            Self::Values(part, wanted) => (part, "elements".into(), wanted.into()),
            Self::TooLarge(max) => {
                let wanted = format!(
                    "at most {max} bytes in all tensors that single values fill: send fewer rows"
                );
                ("tensor_shape", "one value for more elements".into(), wanted)
            }
        };
        InputFault {
            field: format!("inputs[{}].{part}", read::cut(name)),
            got,
            wanted,
        }
    }
}

/// Reads a tensor. Returns `None` if it has a fault, which is added to `faults`.
pub(super) fn read(
    name: String,
    tensor: TensorProto,
    budget: &mut FillBudget,
    faults: &mut InputFaults,
) -> Option<Tensor> {
    match shape_and_data(tensor, budget) {
        Ok((shape, data)) => Some(Tensor { name, shape, data }),
        Err(error) => {
            faults.add_with(|| error.fault(&name));
            None
        }
    }
}

fn shape_and_data(
    tensor: TensorProto,
    budget: &mut FillBudget,
) -> Result<(Vec<i64>, TensorData), TensorError> {
    let datatype = from_wire(tensor.dtype).ok_or(TensorError::Type(tensor.dtype))?;
    let shape: Vec<i64> = match &tensor.tensor_shape {
        Some(shape) if shape.unknown_rank => return Err(TensorError::Rank("an unknown rank")),
        // TensorFlow leaves the shape of a scalar empty.
        shape => {
            let axes = shape.iter().flat_map(|shape| &shape.dim);
            axes.map(|axis| axis.size).collect()
        }
    };
    let content = &tensor.tensor_content;
    for (part, is_empty) in element_fields(&tensor) {
        if !is_empty && (part != field_of(datatype) || !content.is_empty()) {
            return Err(TensorError::Surplus(part, datatype));
        }
    }
    if content.is_empty() {
        let data = values(datatype, &shape, tensor, budget)?;
        return Ok((shape, data));
    }
    if datatype == Datatype::Bytes {
        return Err(TensorError::Surplus("tensor_content", datatype));
    }
    let to_error = |wanted| TensorError::Content(content.len(), wanted);
    let data = elements::from_raw(datatype, content).map_err(to_error)?;
    Ok((shape, data))
}

/// Returns the elements from the field of the datatype.
fn values(
    datatype: Datatype,
    shape: &[i64],
    tensor: TensorProto,
    budget: &mut FillBudget,
) -> Result<TensorData, TensorError> {
    let narrow = |values| {
        let narrowed = elements::narrowed(datatype, values);
        narrowed.map_err(|wanted| TensorError::Values(field_of(datatype), wanted))
    };
    let bits = |values: Vec<i32>| {
        let bits = values.into_iter().map(u16::try_from);
        let bits = bits.collect::<Result<Vec<_>, _>>();
        bits.map_err(|_| TensorError::Values("half_val", "patterns of 16 bits"))
    };
    Ok(match datatype {
        Datatype::Bool => TensorData::Bool(budget.fill(tensor.bool_val, shape)?),
        Datatype::Int8 | Datatype::Int16 | Datatype::Uint8 | Datatype::Uint16 => {
            narrow(budget.fill(tensor.int_val, shape)?)?
        }
        Datatype::Int32 => TensorData::Int32(budget.fill(tensor.int_val, shape)?),
        Datatype::Int64 => TensorData::Int64(budget.fill(tensor.int64_val, shape)?),
        Datatype::Uint32 => TensorData::Uint32(budget.fill(tensor.uint32_val, shape)?),
        Datatype::Uint64 => TensorData::Uint64(budget.fill(tensor.uint64_val, shape)?),
        Datatype::Fp16 => {
            let bits = bits(budget.fill(tensor.half_val, shape)?)?;
            TensorData::Fp16(bits.into_iter().map(f16::from_bits).collect())
        }
        Datatype::Bf16 => {
            let bits = bits(budget.fill(tensor.half_val, shape)?)?;
            TensorData::Bf16(bits.into_iter().map(bf16::from_bits).collect())
        }
        Datatype::Fp32 => TensorData::Fp32(budget.fill(tensor.float_val, shape)?),
        Datatype::Fp64 => TensorData::Fp64(budget.fill(tensor.double_val, shape)?),
        Datatype::Bytes => TensorData::Bytes(budget.fill(tensor.string_val, shape)?),
    })
}

/// Returns each field with elements, and whether it is empty.
fn element_fields(tensor: &TensorProto) -> [(&'static str, bool); 9] {
    [
        ("bool_val", tensor.bool_val.is_empty()),
        ("int_val", tensor.int_val.is_empty()),
        ("int64_val", tensor.int64_val.is_empty()),
        ("float_val", tensor.float_val.is_empty()),
        ("double_val", tensor.double_val.is_empty()),
        ("string_val", tensor.string_val.is_empty()),
        ("half_val", tensor.half_val.is_empty()),
        ("uint32_val", tensor.uint32_val.is_empty()),
        ("uint64_val", tensor.uint64_val.is_empty()),
    ]
}

/// Returns the field with the elements of `datatype`.
fn field_of(datatype: Datatype) -> &'static str {
    match datatype {
        Datatype::Bool => "bool_val",
        Datatype::Int8 | Datatype::Int16 | Datatype::Int32 | Datatype::Uint8 | Datatype::Uint16 => {
            "int_val"
        }
        Datatype::Int64 => "int64_val",
        Datatype::Uint32 => "uint32_val",
        Datatype::Uint64 => "uint64_val",
        Datatype::Fp16 | Datatype::Bf16 => "half_val",
        Datatype::Fp32 => "float_val",
        Datatype::Fp64 => "double_val",
        Datatype::Bytes => "string_val",
    }
}

/// Each datatype on the wire.
const TYPES: [(DataType, Datatype); 14] = [
    (DataType::DtBool, Datatype::Bool),
    (DataType::DtInt8, Datatype::Int8),
    (DataType::DtInt16, Datatype::Int16),
    (DataType::DtInt32, Datatype::Int32),
    (DataType::DtInt64, Datatype::Int64),
    (DataType::DtUint8, Datatype::Uint8),
    (DataType::DtUint16, Datatype::Uint16),
    (DataType::DtUint32, Datatype::Uint32),
    (DataType::DtUint64, Datatype::Uint64),
    (DataType::DtHalf, Datatype::Fp16),
    (DataType::DtBfloat16, Datatype::Bf16),
    (DataType::DtFloat, Datatype::Fp32),
    (DataType::DtDouble, Datatype::Fp64),
    (DataType::DtString, Datatype::Bytes),
];

/// Returns a datatype; `None` for one that no signature has.
fn from_wire(dtype: i32) -> Option<Datatype> {
    let wire = DataType::try_from(dtype).ok()?;
    let mut types = TYPES.iter();
    types.find(|(known, _)| *known == wire).map(|(_, of)| *of)
}

pub(super) fn to_wire(datatype: Datatype) -> DataType {
    let mut types = TYPES.iter();
    let found = types.find(|(_, of)| *of == datatype);
    found.map_or(DataType::DtInvalid, |(wire, _)| *wire)
}

/// Writes an output, with its elements in the field of its datatype.
pub(super) fn write(tensor: &OutputTensor<'_>) -> TensorProto {
    let written = TensorProto {
        dtype: to_wire(tensor.output.datatype).into(),
        tensor_shape: Some(make_shape(&tensor.shape())),
        ..TensorProto::default()
    };
    match tensor.data() {
        TensorData::Bool(bool_val) => TensorProto {
            bool_val,
            ..written
        },
        TensorData::Int64(int64_val) => TensorProto {
            int64_val,
            ..written
        },
        TensorData::Uint32(uint32_val) => TensorProto {
            uint32_val,
            ..written
        },
        TensorData::Uint64(uint64_val) => TensorProto {
            uint64_val,
            ..written
        },
        TensorData::Fp16(values) => TensorProto {
            half_val: values.iter().map(|x| i32::from(x.to_bits())).collect(),
            ..written
        },
        TensorData::Bf16(values) => TensorProto {
            half_val: values.iter().map(|x| i32::from(x.to_bits())).collect(),
            ..written
        },
        TensorData::Fp32(float_val) => TensorProto {
            float_val,
            ..written
        },
        TensorData::Fp64(double_val) => TensorProto {
            double_val,
            ..written
        },
        TensorData::Bytes(string_val) => TensorProto {
            string_val,
            ..written
        },
        shorter => TensorProto {
            int_val: elements::widened(&shorter).unwrap_or_default(),
            ..written
        },
    }
}

/// Returns a shape with these axes.
pub(super) fn make_shape(axes: &[i64]) -> TensorShapeProto {
    let axis = |size: &i64| Dim {
        size: *size,
        name: String::new(),
    };
    TensorShapeProto {
        dim: axes.iter().map(axis).collect(),
        unknown_rank: false,
    }
}

/// Quotes a text from a request, shortened for an error.
pub(super) fn quote(text: &str) -> String {
    format!("`{}`", read::cut(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(shape: &[i64], budget: &mut FillBudget) -> Result<usize, InputFault> {
        let values = budget.fill(vec![1.5_f32], shape);
        values
            .map(|values| values.len())
            .map_err(|error| error.fault("x"))
    }

    #[test]
    fn single_values_fill_shapes_up_to_a_limit_that_all_tensors_share() {
        let mut budget = FillBudget::new(40);
        assert_eq!(filled(&[3, 2], &mut budget), Ok(6));
        assert_eq!(filled(&[4], &mut budget), Ok(4));
        assert_eq!(budget.spent(), 40);
        let fault = filled(&[2], &mut budget).unwrap_err();
        assert_eq!(fault.field, "inputs[x].tensor_shape");
        assert_eq!(
            filled(&[1, 1], &mut budget),
            Ok(1),
            "takes nothing from the budget"
        );
        assert_eq!(budget.spent(), 40);
    }

    #[test]
    fn a_shape_beyond_memory_is_refused_before_an_element_is_made() {
        for shape in [&[1_000_000_000_000][..], &[i64::MAX], &[i64::MAX, 2, 2]] {
            let mut budget = FillBudget::new(1 << 20);
            assert!(filled(shape, &mut budget).is_err(), "{shape:?}");
            assert_eq!(budget.spent(), 0);
        }
    }

    #[test]
    fn values_that_cannot_be_repeated_are_left_alone() {
        let mut budget = FillBudget::new(usize::MAX);
        for shape in [&[0][..], &[-1], &[i64::MIN, 3], &[0, i64::MAX, 2]] {
            assert_eq!(filled(shape, &mut budget), Ok(1), "{shape:?}");
        }
        let two = budget.fill(vec![1, 2], &[5]);
        assert_eq!(two.ok(), Some(vec![1, 2]), "the last is not repeated");
        assert_eq!(budget.spent(), 0);
    }

    #[test]
    fn each_datatype_reads_the_same_by_values_and_as_a_block() {
        let of = |datatype| TensorProto {
            dtype: to_wire(datatype).into(),
            tensor_shape: Some(make_shape(&[2])),
            ..TensorProto::default()
        };
        let block = |datatype, block: &'static [u8]| TensorProto {
            tensor_content: block.into(),
            ..of(datatype)
        };
        let (mut bools, mut ints, mut longs) =
            (of(Datatype::Bool), of(Datatype::Int32), of(Datatype::Int64));
        let (mut floats, mut doubles) = (of(Datatype::Fp32), of(Datatype::Fp64));
        bools.bool_val = vec![true, false];
        ints.int_val = vec![-1, 2];
        longs.int64_val = vec![-1, 2];
        floats.float_val = vec![-0.0, 1.0];
        doubles.double_val = vec![-0.0, 1.0];
        for (values, raw) in [
            (bools, &[1, 0][..]),
            (ints, b"\xff\xff\xff\xff\x02\0\0\0"),
            (longs, b"\xff\xff\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\0\0\0"),
            (floats, b"\0\0\0\x80\0\0\x80\x3f"),
            (doubles, b"\0\0\0\0\0\0\0\x80\0\0\0\0\0\0\xf0\x3f"),
        ] {
            let datatype = from_wire(values.dtype).unwrap();
            let mut faults = InputFaults::default();
            let mut read = |tensor| {
                let mut budget = FillBudget::new(0);
                super::read("x".into(), tensor, &mut budget, &mut faults).unwrap()
            };
            let (values, block) = (read(values), read(block(datatype, raw)));
            assert_eq!(values.data.datatype(), datatype);
            // By their text, since -0.0 equals 0.0.
            assert_eq!(format!("{values:?}"), format!("{block:?}"));
        }
    }
}
