//! `talkformer vectors convert`

use talkformer::embed::vectors::{VectorsOptions, WordVectors};

use super::args::Convert;
use crate::output::{say, warn};

pub(crate) fn run(args: &Convert) -> anyhow::Result<()> {
    let options = VectorsOptions { lossy: args.lossy, limit: args.most, ..Default::default() };
    let vectors = WordVectors::open_with(&args.from, &options)?;
    warn(vectors.warnings());
    vectors.save_mapped(&args.to)?;
    say(&format!(
        "{}: {} words of {} numbers, from {}",
        args.to.display(),
        vectors.len(),
        vectors.dim(),
        vectors.format()
    ));
    Ok(())
}
