//! A process is killed while it saves, again and again: either the old or the new model always opens.
//!
//! The saving process is this test program itself, started anew for the one ignored test below.

use std::env;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};

use super::{TestResult, cannot_swap, names_in};
use crate::bundle::{Bundle, BundleError, BundleWriter, Weight, Weights};
use crate::files::{Swap, swap_names};

const PLACE: &str = "TALKFORMER_TEST_PLACE";
const CANNOT_SWAP: &str = "TALKFORMER_TEST_CANNOT_SWAP";
const KILLS: usize = 30;

/// One of two models that differ in every part, and in size.
fn model(which: u8) -> Result<BundleWriter, BundleError> {
    let count = 2_000 + 1_000 * usize::from(which);
    let weight = Weight::f32(vec![count], vec![f32::from(which); count]);
    BundleWriter::new("nlu", &which)?
        .json("labels.json", &vec![which; count])?
        .weights(&Weights::from([("values".to_owned(), weight)]))
}

/// Opens the model and makes sure that all of it comes from one save.
fn open_whole(place: &Path) -> Result<u8, BundleError> {
    let bundle = Bundle::open(place)?;
    let which: u8 = bundle.config()?;
    let count = 2_000 + 1_000 * usize::from(which);
    assert_eq!(bundle.json::<Vec<u8>>("labels.json")?, vec![which; count]);
    assert_eq!(*bundle.weights()?["values"].to_f32(), vec![f32::from(which); count]);
    Ok(which)
}

#[test]
#[ignore = "not a test: the process that the tests below start and kill"]
fn saves_until_killed() -> TestResult {
    let Some(place) = env::var_os(PLACE) else {
        return Ok(());
    };
    let swap: Swap = if env::var_os(CANNOT_SWAP).is_some() { cannot_swap } else { swap_names };
    let models = [model(0)?, model(1)?];
    for model in models.iter().cycle() {
        model.save_by(place.as_ref(), swap)?;
    }
    Ok(())
}

/// A child process, killed at the latest when the test ends.
struct Saver(Child);

impl Saver {
    fn start(place: &Path, can_swap: bool) -> std::io::Result<Self> {
        let module = module_path!().split_once("::").map_or("", |(_, path)| path);
        let mut command = Command::new(env::current_exe()?);
        command.args(["--exact", &format!("{module}::saves_until_killed"), "--ignored"]).env(PLACE, place);
        if !can_swap {
            command.env(CANNOT_SWAP, "1");
        }
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().map(Self)
    }

    /// SIGKILL; an error if it has ended already, because then a save has failed.
    fn kill(&mut self) -> TestResult {
        if let Some(status) = self.0.try_wait()? {
            return Err(format!("the saving process ended by itself: {status}").into());
        }
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Saver {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn kill_again_and_again(can_swap: bool) -> TestResult {
    let folder = tempfile::tempdir()?;
    let place = folder.path().join("model");
    model(0)?.save(&place)?;
    let mut random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    for _ in 0..KILLS {
        let before = Bundle::open(&place)?.created().to_owned();
        let mut saver = Saver::start(&place, can_swap)?;
        let start = Instant::now();
        while Bundle::open(&place)?.created() == before && start.elapsed() < Duration::from_secs(60) {
            sleep(Duration::from_millis(1)); // until it really saves
        }
        sleep(Duration::from_micros(u64::from(random.next_u32() % 20_000)));
        saver.kill()?;
        open_whole(&place)?;
    }
    model(1)?.save(&place)?;
    assert_eq!(open_whole(&place)?, 1);
    assert_eq!(names_in(folder.path())?, ["model"], "leftovers are cleared");
    Ok(())
}

#[test]
fn killed_while_swapping_the_old_or_the_new_model_opens() -> TestResult {
    kill_again_and_again(true)
}

#[test]
fn killed_between_two_steps_the_old_or_the_new_model_opens() -> TestResult {
    kill_again_and_again(false)
}

/// Opens the model over and over while another process replaces it.
fn open_under_replacement(can_swap: bool) -> TestResult {
    let folder = tempfile::tempdir()?;
    let place = folder.path().join("model");
    model(0)?.save(&place)?;
    let mut saver = Saver::start(&place, can_swap)?;
    let start = Instant::now();
    let mut opened = [0; 2];
    while start.elapsed() < Duration::from_millis(1_500) || opened.contains(&0) {
        opened[usize::from(open_whole(&place)?)] += 1;
        assert!(start.elapsed() < Duration::from_secs(60), "no change seen: {opened:?}");
    }
    saver.kill()
}

#[test]
fn a_model_opens_while_it_is_swapped() -> TestResult {
    open_under_replacement(true)
}

#[test]
fn a_model_opens_while_it_is_replaced_in_two_steps() -> TestResult {
    open_under_replacement(false)
}
