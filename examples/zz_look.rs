use quorate::fleet::Fleet;
fn main() {
    let file = std::env::args().nth(1).unwrap();
    let path = std::path::Path::new(&file);
    let text = std::fs::read_to_string(path).unwrap();
    let desired = quorate::desired::parse(&text, "cluster.toml", path.parent().unwrap(), None).unwrap();
    let more: usize = std::env::args().nth(2).map_or(0, |n| n.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let live = quorate::live::Live::new(desired.clone());
        let t = std::time::Instant::now();
        let observed = live.observe().await;
        let plan = quorate::plan::plan(&desired, &observed);
        println!(
            "{:?} complete={} steps={} blocked={:?}",
            t.elapsed(),
            observed.is_complete(),
            plan.steps.len(),
            plan.blocked
        );
        for _ in 0..more {
            let t = std::time::Instant::now();
            live.observe().await;
            println!("again {:?}", t.elapsed());
        }
    });
}
