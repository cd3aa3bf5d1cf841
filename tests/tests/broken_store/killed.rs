//! First starts that are killed, or only their launcher.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::{
    CACHE, assert_whole, entries, first_start, host, in_a_group, run, said, start, subject,
};

/// A first start killed at 20 instants spread over its time.
///
/// outcome: the next start unpacks again what was half made; runs
/// layer: store
/// message: none
#[test]
fn case_065_killed_at_twenty_instants() {
    kill_at_instants(20);
}

#[test]
#[ignore = "200 first starts, two minutes: run with scripts/test --full"]
fn killed_at_two_hundred_instants_the_next_start_is_right() {
    kill_at_instants(200);
}

/// Kills as many first starts as asked, each with everything that it has started, at instants spread over the time that one
/// takes. In memory, so that what else writes to the disk does not decide how long that is.
fn kill_at_instants(count: u32) {
    let project = subject(3000);
    let host = host(&project.pack(), "");
    let cache = host.path(CACHE);
    let (mut whole, expected) = first_start(&host);
    let env = entries(&cache.join("ready")).remove(0);
    let mut found: BTreeMap<&str, u32> = BTreeMap::new();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut kills = 0;
    // As many more, at most four times, where the machine was so busy with others that phases were missed.
    while kills < count || kills < count * 5 && found.len() < 3 {
        if kills % 20 == 0 {
            whole = first_start(&host).0;
        }
        // One instant in each of as many equal parts, so that none is missed.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let within = f64::from(u32::try_from(random >> 40).unwrap()) / f64::from(1_u32 << 24);
        let part = f64::from(kills % count) + within;
        kills += 1;
        fs::remove_dir_all(&cache).unwrap();
        let instant = whole.mul_f64(part / f64::from(count));
        let mut child = in_a_group(&mut start(&host, 0));
        std::thread::sleep(instant);
        kill(&mut child);
        let phase = phase(&cache, &env);
        *found.entry(phase).or_default() += 1;
        let what = format!("killed after {instant:?} of {whole:?}: {phase}");
        assert_eq!(said(&run(&host), &what), expected, "{what}");
        assert_whole(&project, &cache, &what);
    }
    eprintln!("{kills} kills in {count} equal parts of {whole:?}; what they left: {found:?}");
    assert!(found.len() >= 3, "the instants hit only {found:?}");
}

/// How far a first start had come.
fn phase(cache: &Path, env: &str) -> &'static str {
    let there = |name: &str| cache.join(name).exists();
    if there(&format!("ready/{env}")) {
        "6 a record"
    } else if there(&format!("envs/{env}.done")) {
        "5 setup done"
    } else if there(&format!("envs/{env}")) {
        "4 setup begun"
    } else if there(&format!("staging/{env}")) {
        "3 environment begun"
    } else if !entries(&cache.join("slots")).is_empty() {
        "2 slots published"
    } else if !entries(&cache.join("staging")).is_empty() {
        "1 slots begun"
    } else {
        "0 nothing"
    }
}

fn kill(child: &mut Child) {
    let group = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    // It may be over.
    let _ = kill_process_group(group, Signal::KILL);
    child.wait().unwrap();
}

/// Only the launcher is killed: what the setup command then still writes is nobody's.
///
/// outcome: runs
/// layer: store
/// message: none
#[test]
fn case_065_a_setup_command_that_outlives_its_launcher() {
    // The setup command still runs when only the launcher is killed. What it then writes is nobody's any more.
    let project = subject(50);
    let host = host(&project.pack(), "");
    let cache = host.path(CACHE);
    let expected = first_start(&host).1;
    let env = entries(&cache.join("ready")).remove(0);
    for _ in 0..5 {
        fs::remove_dir_all(&cache).unwrap();
        let mut child = in_a_group(&mut start(&host, 0));
        let made = cache.join("envs").join(&env).join("made");
        let end = Instant::now() + Duration::from_secs(20);
        while !made.exists() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(said(&run(&host), "later"), expected);
        // Unless it is over by now, what it writes to was moved there.
        host.sh(&format!("rm -rf {CACHE}/staging/*.old"));
        assert_whole(&project, &cache, "after a launcher was killed");
    }
}
