use std::time::{Duration, Instant};

use futures::FutureExt;
use tokio::sync::Mutex;

use super::*;
use crate::admin::watch::tests::routing;
use crate::config::{Flag, load};
use crate::driver::Goodbye;
use crate::reload::{LiveConfig, Source};

const DEADLINE: Duration = Duration::from_secs(30);
const HTTP: &str = r#"{"protocol": "http", "endpoints": [{"url": "http://127.0.0.1:1"}]}"#;

fn name() -> ServiceName {
    ServiceName::parse("a.acme").unwrap()
}

fn service(speaker: &SpeakerHandle, store: &SharedStore) -> AdminService {
    let flags = [("name", "a"), ("as", "65001"), ("org", "acme")];
    let config = load(None, &flags.map(|(name, value)| Flag::new(name, value))).unwrap();
    let parts = (speaker.clone(), Arc::clone(store), <_>::default(), None);
    let reloader = Reloader::new(Source::default(), LiveConfig::new(config), parts);
    AdminService::new(
        Arc::new(reloader),
        Arc::clone(store),
        speaker.clone(),
        (LocalPorts::default(), None),
    )
}

/// Waits until what is kept on disk and what is offered are both this.
async fn until_both(store: &SharedStore, speaker: &SpeakerHandle, expected: bool) {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let kept = store.lock().await.get(&name()).is_some();
        let look = |speaker: &mut Speaker, now| is_offered(&speaker.route(&name().into(), now));
        let offered = speaker.query(look).await.unwrap();
        if (kept, offered) == (expected, expected) {
            return;
        }
        assert!(Instant::now() < deadline, "kept: {kept}, offered: {offered}");
        tokio::task::yield_now().await;
    }
}

/// A call that is dropped in its middle, as of a caller who hangs up, happens whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_kept_and_offered_although_its_caller_hangs_up() {
    let dir = tempfile::tempdir().unwrap();
    let (driver, speaker) = routing().await;
    let store = Arc::new(Mutex::new(Store::open(dir.path())));
    let service = service(&speaker, &store);
    let add = AddServiceRequest {
        name: "a.acme".to_owned(),
        service_json: HTTP.to_owned(),
    };
    let hung_up = service.add_service(Request::new(add)).now_or_never();
    assert!(hung_up.is_none(), "the call takes more than one step");
    until_both(&store, &speaker, true).await;
    let remove = RemoveServiceRequest {
        name: "a.acme".to_owned(),
    };
    drop(service.remove_service(Request::new(remove)).now_or_never());
    until_both(&store, &speaker, false).await;
    driver.shutdown(Goodbye::ForNow).await;
}
