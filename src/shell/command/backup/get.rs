//! `quorate backup get`: a snapshot fetched from where it lies.

use std::path::{Path, PathBuf};

use super::places::{Place, fetch, warn_of};
use crate::core::cluster::snapshot;
use crate::core::count::size;
use crate::core::desired::Desired;
use crate::core::diagnostic::Diagnostic;
use crate::shell::command::context::Context;
use crate::shell::command::output::{Out, print};
use crate::shell::live::{Live, backup as files};

/// Fetch a snapshot from the node or off-site location that has it, and check it
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  quorate backup get snapshot-20270115_080000.db.zst
  quorate backup get snapshot-20270115_080000.db.zst -o /srv/backups/prod.db.zst")]
pub struct GetArgs {
    /// The name, as in `backup list`
    #[arg(value_name = "NAME")]
    pub name: String,

    /// Where to write it: a file or a directory
    #[arg(short, long, value_name = "PATH")]
    pub output: Option<PathBuf>,
}

/// Where a snapshot goes: `output`, or a file called `name` in it or here, which must not be there yet.
///
/// # Errors
/// When it is.
pub fn destination(output: Option<&Path>, name: &str) -> Result<PathBuf, Diagnostic> {
    let to = match output {
        None => PathBuf::from(name),
        Some(path) if path.is_dir() => path.join(name),
        Some(path) => path.to_owned(),
    };
    if to.symlink_metadata().is_ok() {
        let what = Diagnostic::failure("file already exists").at(to.display().to_string());
        return Err(what.hint("snapshots are never overwritten: choose another name with `-o`"));
    }
    Ok(to)
}

/// The name of a snapshot, if it is one.
pub fn named(path: &Path) -> Option<&str> {
    path.file_name()?.to_str().filter(|name| snapshot::begun(name).is_some())
}

/// Fetches it, and says where it lies.
///
/// # Errors
/// When no node has it, or it cannot be fetched or is not sound.
pub async fn get(
    args: &GetArgs,
    context: &Context,
    desired: &Desired,
    fleet: &Live,
    stdout: &mut Out,
) -> Result<u8, Diagnostic> {
    let to = destination(args.output.as_deref(), &args.name)?;
    let (found, _) = fetch(&args.name, &to, context, desired, fleet).await?;
    if named(&to).is_some() {
        warn_of(context, files::keep_facts(&to, &found.listed.facts));
    }
    let place = if let Place::Node(node) = &found.place { node.to_string() } else { found.path };
    print(stdout, &format!("{}: {} from {place}, verified\n", to.display(), size(found.listed.bytes)))?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_ours_have_something_beside_them() {
        assert_eq!(named(Path::new("/srv/snapshot-20270115_080000.db.zst")), Some("snapshot-20270115_080000.db.zst"));
        assert_eq!(named(Path::new("before.db")), None);
    }
}
