//! Stories drawn from seeds.

use simulation::{
    Player,
    story::{Mix, Story},
};

#[test]
fn one_story() {
    let player = Player::new().unwrap();
    for seed in 0..5 {
        let story = Story::of(seed, &Mix::default());
        let began = std::time::Instant::now();
        let report = player.play(&story, None).unwrap();
        if std::env::var("STORY").is_ok() {
            for line in &report.lines {
                println!("{line}");
            }
        }
        println!(
            "seed {seed}: {} lines, {:?} simulated, {:?} real, {:?}",
            report.lines.len(),
            report.simulated,
            began.elapsed(),
            report.violations
        );
    }
}
