//! Weights as plain numbers, to and from safetensors.

use std::borrow::Cow;
use std::collections::BTreeMap;

use safetensors::tensor::{Metadata, TensorInfo};
use safetensors::{Dtype, View};

use super::WeightError;

/// The values of one tensor, the last axis running fastest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weight {
    /// Its size along each axis; empty for a single number.
    pub shape: Vec<usize>,
    /// As many values as the product of the shape.
    pub values: Vec<f32>,
}

/// Weights by name.
pub type Weights = BTreeMap<String, Weight>;

const LENGTH_BYTES: usize = 8;
const RESERVED: &str = "__metadata__";

impl View for &Weight {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let bytes: Vec<[u8; 4]> = self.values.iter().map(|value| value.to_le_bytes()).collect();
        Cow::Owned(bytes.into_flattened())
    }

    fn data_len(&self) -> usize {
        self.values.len() * size_of::<f32>()
    }
}

/// Checks weights and writes them as a safetensors file.
pub(super) fn encode(weights: &Weights) -> Result<Vec<u8>, WeightError> {
    for (name, weight) in weights {
        check(name, weight)?;
    }
    safetensors::serialize(weights, None).map_err(unusable)
}

fn check(name: &str, weight: &Weight) -> Result<(), WeightError> {
    if name == RESERVED {
        return Err(WeightError::Name { tensor: name.to_owned() });
    }
    let Weight { shape, values } = weight;
    if element_count(shape) != Some(values.len()) {
        let (tensor, shape) = (name.to_owned(), shape.clone());
        return Err(WeightError::Shape { tensor, shape, values: values.len() });
    }
    check_finite(name, values)
}

fn element_count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |count, &size| count.checked_mul(size))
}

fn check_finite(name: &str, values: &[f32]) -> Result<(), WeightError> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(position) => {
            let value = values[position].to_string();
            Err(WeightError::NotFinite { tensor: name.to_owned(), position, value })
        }
        None => Ok(()),
    }
}

/// Reads a safetensors file.
///
/// The header is held to the length of the file before any tensor gets memory. `Metadata` makes sure that
/// tensors lie one behind the other, without gap, each as long as its shape says.
pub(super) fn decode(bytes: &[u8]) -> Result<Weights, WeightError> {
    let (header, data) = split_header(bytes).ok_or_else(|| malformed("the header is cut off"))?;
    let metadata: Metadata = serde_json::from_slice(header).map_err(unusable)?;
    if metadata.data_len() != data.len() {
        return Err(malformed("the header does not fit the length of the file"));
    }
    let tensors = metadata.tensors().into_iter();
    tensors.map(|(name, info)| decode_one(&name, info, data).map(|weight| (name, weight))).collect()
}

fn split_header(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH_BYTES>()?;
    rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)
}

fn decode_one(name: &str, info: &TensorInfo, data: &[u8]) -> Result<Weight, WeightError> {
    if info.dtype != Dtype::F32 {
        return Err(WeightError::Type { tensor: name.to_owned(), dtype: info.dtype.to_string() });
    }
    let (start, end) = info.data_offsets;
    let bytes = data.get(start..end).ok_or_else(|| malformed("a tensor lies outside the file"))?;
    let (chunks, _) = bytes.as_chunks::<{ size_of::<f32>() }>();
    let weight = Weight {
        shape: info.shape.clone(),
        values: chunks.iter().map(|&chunk| f32::from_le_bytes(chunk)).collect(),
    };
    check(name, &weight)?;
    Ok(weight)
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
        prop::collection::vec(0_usize..5, 0..4).prop_flat_map(|shape| {
            let count: usize = shape.iter().product();
            let finite =
                any::<u32>().prop_map(f32::from_bits).prop_filter("finite", |value| value.is_finite());
            prop::collection::vec(finite, count)
                .prop_map(move |values| Weight { shape: shape.clone(), values })
        })
    }

    proptest! {
        #[test]
        fn weights_come_back_bit_by_bit(weights in prop::collection::btree_map(".{0,12}", any_weight(), 0..6)) {
            let bytes = encode(&weights)?;
            let again = decode(&bytes)?;
            prop_assert_eq!(&encode(&again)?, &bytes);
            prop_assert_eq!(again, weights);
        }
    }

    /// The layout by hand: eight bytes of length, a header padded with blanks to a multiple of eight, data.
    #[test]
    fn the_file_is_what_the_format_says() -> Result<(), WeightError> {
        let bytes = encode(&Weights::from([(
            "w".to_owned(),
            Weight { shape: vec![1, 2], values: vec![1.0, -2.0] },
        )]))?;
        let header = r#"{"w":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}"#;
        assert_eq!(bytes[..8], [56, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(&bytes[8..64], header.as_bytes());
        assert_eq!(bytes[64..], [0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]);
        Ok(())
    }
}
