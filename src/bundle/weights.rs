//! Weights as plain numbers, to and from safetensors.

use std::borrow::Cow;
use std::collections::BTreeMap;

use half::bf16;
use safetensors::tensor::{Metadata, TensorInfo};
use safetensors::{Dtype, View};

use super::WeightError;
use crate::numbers::{Bytes, Table};

/// One tensor, the last axis running fastest.
#[derive(Clone, Debug, PartialEq)]
pub struct Weight {
    /// Its size along each axis; empty for a single number.
    pub shape: Vec<usize>,
    /// As many values as the product of the shape.
    pub values: Values,
}

/// In what form the values of a tensor are kept.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// As they are.
    F32(Vec<f32>),
    /// The upper half of each `f32`, two bytes, the lower first.
    Bf16(Bytes),
    /// Five bits each and a scale per row; for large tables.
    Table(Table),
}

/// Weights by name.
pub type Weights = BTreeMap<String, Weight>;

impl Weight {
    /// Values as they are.
    #[must_use]
    pub fn f32(shape: Vec<usize>, values: Vec<f32>) -> Self {
        Self { shape, values: Values::F32(values) }
    }

    /// Values rounded to eight bits of mantissa.
    #[must_use]
    pub fn bf16(shape: Vec<usize>, values: &[f32]) -> Self {
        let rounded: Vec<[u8; 2]> = values.iter().map(|value| bf16::from_f32(*value).to_le_bytes()).collect();
        Self { shape, values: Values::Bf16(rounded.into_flattened().into()) }
    }

    /// A table.
    #[must_use]
    pub fn table(table: Table) -> Self {
        let (rows, dim) = table.dims();
        Self { shape: vec![rows, dim], values: Values::Table(table) }
    }

    /// The values, whatever their form.
    #[must_use]
    pub fn to_f32(&self) -> Cow<'_, [f32]> {
        match &self.values {
            Values::F32(values) => Cow::Borrowed(values),
            Values::Bf16(bytes) => Cow::Owned(from_bf16(bytes)),
            Values::Table(table) => Cow::Owned(table.to_f32()),
        }
    }
}

fn from_bf16(bytes: &[u8]) -> Vec<f32> {
    let (pairs, _) = bytes.as_chunks::<2>();
    pairs.iter().map(|pair| bf16::from_le_bytes(*pair).to_f32()).collect()
}

const LENGTH_BYTES: usize = 8;
/// The longest header, which is room for a hundred thousand tensors.
const MOST_HEADER: usize = 16 << 20;
const RESERVED: &str = "__metadata__";
/// Stands between the name of a table and the name of a part of it, so no other tensor may have it.
const MARK: char = '/';

/// The parts of a table, each a tensor of its own: `NAME/rows` and so on.
const PRESENT: &str = "present";
const ROWS: &str = "rows";
const SHAPE: &str = "shape";

/// A tensor as it stands in the file.
struct Stored<'a> {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Cow<'a, [u8]>,
}

impl View for &Stored<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// Checks weights and writes them as a safetensors file.
pub(super) fn encode(weights: &Weights) -> Result<Vec<u8>, WeightError> {
    let mut stored: BTreeMap<String, Stored<'_>> = BTreeMap::new();
    for (name, weight) in weights {
        check(name, weight)?;
        let mut put = |name: String, dtype, shape, bytes| {
            stored.insert(name, Stored { dtype, shape, bytes });
        };
        match &weight.values {
            Values::F32(values) => {
                put(name.clone(), Dtype::F32, weight.shape.clone(), Cow::Owned(bytes_of(values)));
            }
            Values::Bf16(bytes) => {
                put(name.clone(), Dtype::BF16, weight.shape.clone(), Cow::Borrowed(bytes));
            }
            Values::Table(table) => {
                let part = |part: &str| format!("{name}{MARK}{part}");
                let (rows, dim) = table.dims();
                let shape = [rows as u32, dim as u32].map(u32::to_le_bytes).as_flattened().to_vec();
                let present = table.present();
                put(part(PRESENT), Dtype::U8, vec![present.len()], Cow::Owned(present));
                put(part(ROWS), Dtype::U8, vec![table.rows().len()], Cow::Borrowed(table.rows()));
                put(part(SHAPE), Dtype::U32, vec![2], Cow::Owned(shape));
            }
        }
    }
    safetensors::serialize(&stored, None).map_err(unusable)
}

fn bytes_of(values: &[f32]) -> Vec<u8> {
    let bytes: Vec<[u8; 4]> = values.iter().map(|value| value.to_le_bytes()).collect();
    bytes.into_flattened()
}

fn check(name: &str, weight: &Weight) -> Result<(), WeightError> {
    if name == RESERVED || name.contains(MARK) {
        return Err(WeightError::Name { tensor: name.to_owned() });
    }
    let Weight { shape, values } = weight;
    let count = match values {
        Values::F32(values) => values.len(),
        Values::Bf16(bytes) => bytes.len() / 2,
        Values::Table(table) => table.dims().0.saturating_mul(table.dims().1),
    };
    if element_count(shape) != Some(count) {
        let (tensor, shape) = (name.to_owned(), shape.clone());
        return Err(WeightError::Shape { tensor, shape, values: count });
    }
    match values {
        Values::F32(values) => check_finite(name, values),
        Values::Bf16(bytes) => {
            let (pairs, _) = bytes.as_chunks::<2>();
            // All bits of the exponent are set in what is infinite or not a number, and in nothing else.
            match pairs.iter().position(|pair| pair[1] & 0x7f == 0x7f && pair[0] & 0x80 != 0) {
                Some(position) => {
                    Err(not_finite(name, position, bf16::from_le_bytes(pairs[position]).to_f32()))
                }
                None => Ok(()),
            }
        }
        Values::Table(_) => Ok(()), // its scales were checked when it was made
    }
}

/// Refuses a value that is infinite or not a number.
pub(super) fn check_finite(tensor: &str, values: &[f32]) -> Result<(), WeightError> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(position) => Err(not_finite(tensor, position, values[position])),
        None => Ok(()),
    }
}

fn not_finite(tensor: &str, position: usize, value: f32) -> WeightError {
    WeightError::NotFinite { tensor: tensor.to_owned(), position, value: value.to_string() }
}

fn element_count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |count, &size| count.checked_mul(size))
}

/// Reads a safetensors file. Large tensors are not copied out of it.
///
/// The header is checked against the length of the file before memory is allocated for a tensor. `Metadata` makes sure
/// that tensors follow each other without a gap, each as long as its shape says.
pub(super) fn decode(file: &Bytes) -> Result<Weights, WeightError> {
    let (header, start) =
        split_header(file).ok_or_else(|| malformed("the header is cut off, or longer than 16 MiB"))?;
    let metadata: Metadata = serde_json::from_slice(header).map_err(unusable)?;
    let data = file.part(start..file.len()).ok_or_else(|| malformed("the header is cut off"))?;
    if metadata.data_len() != data.len() {
        return Err(malformed("the header does not fit the length of the file"));
    }
    let (mut weights, mut tables) = (Weights::new(), BTreeMap::<String, BTreeMap<String, Part>>::new());
    for (name, info) in metadata.tensors() {
        let (from, to) = info.data_offsets;
        let bytes = data.part(from..to).ok_or_else(|| malformed("a tensor lies outside the file"))?;
        if let Some((table, part)) = name.split_once(MARK) {
            let part_of = tables.entry(table.to_owned()).or_default();
            part_of.insert(part.to_owned(), Part { dtype: info.dtype, bytes });
        } else {
            let weight = decode_one(&name, info, bytes)?;
            check(&name, &weight)?;
            weights.insert(name, weight);
        }
    }
    for (name, parts) in tables {
        let weight = Weight::table(decode_table(&name, parts)?);
        if weights.insert(name.clone(), weight).is_some() {
            return Err(WeightError::Name { tensor: name });
        }
    }
    Ok(weights)
}

/// The header, and where the data begins.
fn split_header(file: &[u8]) -> Option<(&[u8], usize)> {
    let (length, rest) = file.split_first_chunk::<LENGTH_BYTES>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok().filter(|length| *length <= MOST_HEADER)?;
    Some((rest.get(..length)?, LENGTH_BYTES + length))
}

fn decode_one(name: &str, info: &TensorInfo, bytes: Bytes) -> Result<Weight, WeightError> {
    let values = match info.dtype {
        Dtype::F32 => Values::F32(from_f32(&bytes)),
        Dtype::BF16 => Values::Bf16(bytes),
        other => return Err(WeightError::Type { tensor: name.to_owned(), dtype: other.to_string() }),
    };
    Ok(Weight { shape: info.shape.clone(), values })
}

fn from_f32(bytes: &[u8]) -> Vec<f32> {
    let (chunks, _) = bytes.as_chunks::<{ size_of::<f32>() }>();
    chunks.iter().map(|&chunk| f32::from_le_bytes(chunk)).collect()
}

/// A part of a table, as it stands in the file.
struct Part {
    dtype: Dtype,
    bytes: Bytes,
}

fn decode_table(name: &str, mut parts: BTreeMap<String, Part>) -> Result<Table, WeightError> {
    let mut take = |part: &str, dtype: Dtype| match parts.remove(part) {
        Some(found) if found.dtype == dtype => Ok(found.bytes),
        Some(found) => {
            let tensor = format!("{name}{MARK}{part}");
            Err(WeightError::Type { tensor, dtype: found.dtype.to_string() })
        }
        None => Err(malformed(&format!("the table `{name}` has no part `{part}`"))),
    };
    let shape = take(SHAPE, Dtype::U32)?;
    let (present, bytes) = (take(PRESENT, Dtype::U8)?, take(ROWS, Dtype::U8)?);
    if let Some(part) = parts.keys().next() {
        return Err(malformed(&format!("the table `{name}` has an unknown part `{part}`")));
    }
    let (sizes, _) = shape.as_chunks::<4>();
    let [rows, dim] = sizes.iter().map(|size| u32::from_le_bytes(*size) as usize).collect::<Vec<_>>()[..]
    else {
        return Err(malformed(&format!("the shape of the table `{name}` is not two numbers")));
    };
    Table::from_parts(rows, dim, &present, bytes)
        .map_err(|problem| WeightError::Table { tensor: name.to_owned(), problem })
}

fn malformed(reason: &str) -> WeightError {
    WeightError::Format { reason: reason.to_owned() }
}

fn unusable(error: impl std::error::Error) -> WeightError {
    WeightError::Format { reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_weight() -> impl Strategy<Value = Weight> {
        (prop::collection::vec(0_usize..5, 0..4), 0..3).prop_flat_map(|(shape, form)| {
            let count: usize = shape.iter().product();
            let finite = any::<f32>().prop_filter("finite", |value| value.abs() < 1e38);
            prop::collection::vec(finite, count).prop_map(move |values| match (form, &shape[..]) {
                (0, [_, dim]) if *dim > 0 => Weight::table(Table::new(&values, *dim, |row| row != 1)),
                (0 | 1, _) => Weight::bf16(shape.clone(), &values),
                _ => Weight::f32(shape.clone(), values),
            })
        })
    }

    proptest! {
        #[test]
        fn weights_come_back_bit_by_bit(weights in prop::collection::btree_map("[^/]{0,12}", any_weight(), 0..6)) {
            let bytes = encode(&weights)?;
            let again = decode(&bytes.clone().into())?;
            prop_assert_eq!(&encode(&again)?, &bytes);
            prop_assert_eq!(again, weights);
        }
    }

    /// The layout by hand: eight bytes of length, a header padded with blanks to a multiple of eight, data.
    #[test]
    fn the_file_is_what_the_format_says() -> Result<(), WeightError> {
        let bytes = encode(&Weights::from([("w".to_owned(), Weight::f32(vec![1, 2], vec![1.0, -2.0]))]))?;
        let header = r#"{"w":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}"#;
        assert_eq!(bytes[..8], [56, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(&bytes[8..64], header.as_bytes());
        assert_eq!(bytes[64..], [0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]);
        Ok(())
    }

    #[test]
    fn rounding_goes_to_the_nearest_and_then_to_the_even() {
        for (bits, rounded) in [
            (0x3f80_0000, 0x3f80),
            (0x3f80_7fff, 0x3f80),
            (0x3f80_8000, 0x3f80),
            (0x3f81_8000, 0x3f82),
            (0xbf80_8001, 0xbf81),
            (0x7f7f_ffff, 0x7f80),
        ] {
            let weight = Weight::bf16(vec![1], &[f32::from_bits(bits)]);
            assert_eq!(weight.to_f32()[0].to_bits() >> 16, rounded, "{bits:#x}");
        }
        assert!(Weight::bf16(vec![1], &[f32::NAN]).to_f32()[0].is_nan());
    }

    #[test]
    fn tables_with_parts_that_do_not_fit_are_refused() -> Result<(), WeightError> {
        let table = Table::new(&[0.5; 24], 8, |row| row != 1);
        let file = encode(&Weights::from([("t".to_owned(), Weight::table(table))]))?;
        let header = |from: &str, to: &str| {
            let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
            let text = String::from_utf8(file[8..8 + length].to_vec()).unwrap();
            assert!(text.contains(from), "{text}");
            let text = text.replace(from, to);
            decode(
                &[&(text.len() as u64).to_le_bytes(), text.as_bytes(), &file[8 + length..]].concat().into(),
            )
        };
        assert!(header("t/", "t/").is_ok());
        let message = |from, to| header(from, to).unwrap_err().to_string();
        assert!(message("t/rows", "t/row").contains("no part `rows`"));
        assert!(message("t/rows\":{\"dtype\":\"U8\"", "t/rows\":{\"dtype\":\"I8\"").contains("I8"));
        let mut cut = file.clone();
        let rows = cut.len() - 2 * 7; // two rows of a scale and five bytes, behind all else
        cut[rows..rows + 2].copy_from_slice(&0x7fc0_u16.to_le_bytes());
        let error = decode(&cut.into()).unwrap_err().to_string();
        assert!(error.contains("table `t`") && error.contains("NaN"), "{error}");
        Ok(())
    }
}
