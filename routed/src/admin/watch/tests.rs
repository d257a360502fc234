use std::time::Duration;

use catalyst_core::event::Event as SpeakerEvent;
use catalyst_core::name::ServiceName;
use tokio::time::timeout;

use super::*;
use crate::config::{Flag, load, local_service, parse_service};
use crate::driver::{Driver, DriverChannel, DriverConfig, Goodbye, start_planes};

const DEADLINE: Duration = Duration::from_secs(30);
const HTTP: &str = r#"{"protocol": "http", "endpoints": [{"url": "http://127.0.0.1:1"}]}"#;

/// A routing thread without peers and data planes.
pub(in crate::admin) async fn routing() -> (Driver, SpeakerHandle) {
    let flags = [
        ("name", "a"),
        ("as", "65001"),
        ("org", "acme"),
        ("set", "peering.drain=0s"),
    ];
    let config = load(None, &flags.map(|(name, value)| Flag::new(name, value))).unwrap();
    let channel = DriverChannel::new();
    let handle = channel.handle();
    let planes = start_planes(&config, None, &handle).await.unwrap();
    let config = DriverConfig {
        speaker: config.speaker(),
        offers: Vec::new(),
        listen: None,
        transports: crate::driver::Transports::new(),
        callers: Vec::new(),
    };
    (Driver::start(config, channel, planes.feeds).unwrap(), handle)
}

/// Makes a change and waits for its batch to end.
async fn change(speaker: &SpeakerHandle, event: SpeakerEvent) {
    speaker.event(event).await.unwrap();
    speaker.query(|_, _| ()).await.unwrap();
}

fn name(number: usize) -> String {
    format!("s{number:03}.acme")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_lags_behind_gets_the_table_again() {
    let (driver, speaker) = routing().await;
    let (out, mut events) = mpsc::channel(1);
    let watch = tokio::spawn(Watch::new(speaker.clone(), out).run());
    let first = timeout(DEADLINE, events.recv()).await.unwrap().unwrap().unwrap();
    assert_eq!(first.event, Some(Event::Synced(true)));
    // Nobody reads: more batches than the backlog holds.
    for number in 0..600 {
        let (name, service) = parse_service(&name(number), HTTP).unwrap();
        change(&speaker, SpeakerEvent::ServiceAdd(local_service(name, &service))).await;
    }
    for number in 0..300 {
        change(
            &speaker,
            SpeakerEvent::ServiceRemove(ServiceName::parse(&name(number)).unwrap()),
        )
        .await;
    }
    let mut held = BTreeSet::new();
    let mut tables = 1;
    let wanted: BTreeSet<String> = (300..600).map(name).collect();
    while tables == 1 || held != wanted {
        let message = timeout(DEADLINE, events.recv())
            .await
            .expect("the watcher catches up")
            .unwrap()
            .unwrap();
        match message.event.unwrap() {
            Event::Upsert(paths) => assert!(held.insert(paths.name.clone()) || paths.paths.len() == 1),
            Event::Remove(name) => assert!(held.remove(&name), "{name} was not known"),
            Event::Synced(_) => tables += 1,
        }
    }
    drop(events);
    timeout(DEADLINE, watch)
        .await
        .expect("a watch ends with its watcher")
        .unwrap();
    driver.shutdown(Goodbye::ForNow).await;
}
