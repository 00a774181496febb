//! `talkformer vectors convert` and `talkformer vectors distil`

use talkformer::embed::vectors::{VectorsOptions, WordVectors};
use talkformer::embed::{self, Distilling};

use super::args::{Convert, Distil};
use crate::output::{say, warn};

pub(crate) fn convert(args: &Convert) -> anyhow::Result<()> {
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

pub(crate) fn distil(args: &Distil) -> anyhow::Result<()> {
    let options = Distilling::default();
    let threads = args.threads.map_or(options.threads, usize::from);
    let options = options
        .dim(args.dim.into())
        .texts(args.texts as usize)
        .threads(threads)
        .latin(args.latin)
        .language(args.language.clone())
        .licence(args.licence.clone());
    let count = embed::distil(&args.encoder, &args.to, &options)?;
    let bytes = std::fs::metadata(&args.to)?.len();
    say(&format!("{}: {count} pieces of {} numbers, {bytes} bytes", args.to.display(), args.dim));
    Ok(())
}
