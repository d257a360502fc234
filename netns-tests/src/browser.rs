//! A real Chromium that is used as a person uses it, by way of chromedriver (W3C WebDriver).

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::{LONG, Process, poll, programs};

/// No window; nothing asked of the internet by itself. The sandbox of Chromium does not start for root, and the page is
/// ours. It ends with chromedriver, as the pipe between them does.
const ARGUMENTS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
];
/// How WebDriver spells the id of an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A Chromium with one empty page and a profile of its own.
#[derive(Debug)]
pub struct Browser {
    agent: ureq::Agent,
    session: String,
    _driver: Process,
}

impl Browser {
    /// Starts it; its driver writes its log into `folder`.
    ///
    /// # Errors
    /// It does not come up.
    pub fn start(folder: &Path) -> Result<Self> {
        let (driver, chromium) = (programs::on_path("chromedriver")?, programs::on_path("chromium")?);
        let mut driver = Process::start(folder, "chromedriver", &driver, &["--port=0"])?;
        let log = folder.join("chromedriver.log");
        let mut port = None;
        driver.wait_until("the port of chromedriver", || {
            port = Some(port_in(&fs::read_to_string(&log)?)?);
            Ok(())
        })?;
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(LONG))
            .http_status_as_error(false);
        let mut browser = Self {
            agent: agent.build().new_agent(),
            session: format!("http://127.0.0.1:{}/session", port.context("no port")?),
            _driver: driver,
        };
        let options = json!({ "binary": chromium, "args": ARGUMENTS });
        let wanted = json!({ "goog:chromeOptions": options, "goog:loggingPrefs": { "performance": "ALL" } });
        let made = browser.post("", &json!({ "capabilities": { "alwaysMatch": wanted } }))?;
        let id = made["sessionId"].as_str().context("a session has an id")?;
        browser.session = format!("{}/{id}", browser.session);
        Ok(browser)
    }

    /// Goes to `url` and waits until the page has loaded.
    ///
    /// # Errors
    /// It does not load.
    pub fn open(&self, url: &str) -> Result<()> {
        self.post("/url", &json!({ "url": url })).map(drop)
    }

    /// Types `text` into what `selector` (CSS) finds, in place of what is there.
    ///
    /// # Errors
    /// There is no such thing, or it takes no text.
    pub fn fill(&self, selector: &str, text: &str) -> Result<()> {
        let element = self.element(selector)?;
        self.post(&format!("{element}/clear"), &json!({}))?;
        self.post(&format!("{element}/value"), &json!({ "text": text }))
            .map(drop)
    }

    /// Clicks what `selector` finds.
    ///
    /// # Errors
    /// There is no such thing, or something covers it.
    pub fn click(&self, selector: &str) -> Result<()> {
        let element = self.element(selector)?;
        self.post(&format!("{element}/click"), &json!({})).map(drop)
    }

    /// Waits until what `selector` finds shows `text`.
    ///
    /// # Errors
    /// It never does; carries what it shows.
    pub fn wait_for_text(&self, selector: &str, text: &str) -> Result<()> {
        poll(&format!("{text:?} in {selector}"), LONG, || {
            let shown = self.text(selector)?;
            ensure!(shown.contains(text), "{shown}");
            Ok(())
        })
    }

    /// What `selector` finds, as a person reads it.
    ///
    /// # Errors
    /// There is no such thing.
    pub fn text(&self, selector: &str) -> Result<String> {
        let path = format!("{}/text", self.element(selector)?);
        let shown = self.agent.get(format!("{}{path}", self.session)).call()?;
        let shown = value(&path, shown)?;
        Ok(shown.as_str().context("text")?.to_owned())
    }

    /// The addresses of all requests so far, those of pages included. A second call tells only what came since.
    ///
    /// # Errors
    /// Chromium kept no log.
    pub fn requests(&self) -> Result<Vec<String>> {
        let log = self.post("/se/log", &json!({ "type": "performance" }))?;
        let mut addresses = Vec::new();
        for entry in log.as_array().context("a log is a list")? {
            let message: Value = serde_json::from_str(entry["message"].as_str().context("a message")?)?;
            let message = &message["message"];
            if message["method"] == "Network.requestWillBeSent" {
                let address = message["params"]["request"]["url"].as_str();
                addresses.push(address.context("a request has an address")?.to_owned());
            }
        }
        Ok(addresses)
    }

    fn element(&self, selector: &str) -> Result<String> {
        let found = self.post("/element", &json!({ "using": "css selector", "value": selector }))?;
        let id = found[ELEMENT].as_str().context("an element has an id")?;
        Ok(format!("/element/{id}"))
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let request = self.agent.post(format!("{}{path}", self.session));
        value(
            path,
            request
                .header("content-type", "application/json")
                .send(body.to_string())?,
        )
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Lets Chromium end by itself and take its profile with it. Where it does not, it ends with its driver.
        let _ = self.agent.delete(&self.session).call();
    }
}

/// The port in `ChromeDriver was started successfully on port 41235.`
fn port_in(log: &str) -> Result<u16> {
    let after = log.split_once("successfully on port ");
    let (_, rest) = after.with_context(|| format!("chromedriver says {log:?}"))?;
    let digits = rest.split(|next: char| !next.is_ascii_digit()).next();
    Ok(digits.unwrap_or_default().parse()?)
}

/// What an answer of WebDriver carries.
fn value(path: &str, mut response: ureq::http::Response<ureq::Body>) -> Result<Value> {
    let (status, text) = (response.status(), response.body_mut().read_to_string()?);
    ensure!(status.is_success(), "{path}: {status} {text}");
    Ok(serde_json::from_str::<Value>(&text)?["value"].take())
}
