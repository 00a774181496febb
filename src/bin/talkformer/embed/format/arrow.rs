//! Vectors as an Arrow IPC file.

use std::sync::Arc;

use anyhow::Context as _;
use arrow_array::{ArrayRef, FixedSizeListArray, Float32Array, RecordBatch, StringArray};
use arrow_ipc::writer::FileWriter;
use arrow_schema::{DataType, Field, Schema};
use ndarray::Array2;
use talkformer::ndarray;

use super::Target;

/// A file with the columns `text` and `embedding`, a list of fixed size.
pub(crate) struct Arrow {
    writer: FileWriter<Target>,
    schema: Arc<Schema>,
    item: Arc<Field>,
    dim: i32,
}

impl Arrow {
    pub(super) fn new(target: Target, dim: usize) -> anyhow::Result<Self> {
        let dim = i32::try_from(dim).context("the vectors are too long for Arrow")?;
        let item = Arc::new(Field::new("item", DataType::Float32, false));
        let list = DataType::FixedSizeList(Arc::clone(&item), dim);
        let fields = vec![Field::new("text", DataType::Utf8, false), Field::new("embedding", list, false)];
        let schema = Arc::new(Schema::new(fields));
        Ok(Self { writer: FileWriter::try_new(target, &schema)?, schema, item, dim })
    }

    pub(super) fn write(&mut self, texts: &[&str], vectors: Array2<f32>) -> anyhow::Result<()> {
        let values = Float32Array::from_iter_values(vectors);
        let lists = FixedSizeListArray::try_new(Arc::clone(&self.item), self.dim, Arc::new(values), None)?;
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), vec![texts, Arc::new(lists)])?;
        Ok(self.writer.write(&batch)?)
    }

    pub(super) fn finish(self) -> anyhow::Result<Target> {
        Ok(self.writer.into_inner()?)
    }
}
