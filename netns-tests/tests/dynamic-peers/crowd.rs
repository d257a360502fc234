//! Callers that never say who they are.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::time::{Instant, interval, interval_at};

/// Between two bytes of one that talks.
const SECOND: Duration = Duration::from_secs(1);
/// How often each looks whether it was let go, and calls again.
const AGAIN: Duration = Duration::from_secs(5);

/// Many callers, each from an address of its own in 127.192.0.0/16: half of them send nothing, the others one byte a
/// second. Whoever is let go calls again. They end when this is dropped.
pub(crate) struct Crowd {
    size: u32,
    calls: Arc<AtomicU32>,
    came: Arc<AtomicU32>,
    _runtime: Runtime,
}

impl Crowd {
    pub(crate) fn gather(target: SocketAddr, size: u32) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let (calls, came) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        for number in 0..size {
            let caller = Caller {
                number,
                target,
                calls: Arc::clone(&calls),
            };
            runtime.spawn(caller.call_for_ever(Arc::clone(&came)));
        }
        Ok(Self {
            size,
            calls,
            came,
            _runtime: runtime,
        })
    }

    /// # Errors
    /// Somebody has not got through once.
    pub(crate) fn all_came(&self) -> Result<()> {
        let came = self.came.load(Ordering::Relaxed);
        ensure!(came == self.size, "{came} of {} have called", self.size);
        Ok(())
    }

    /// Connections that stood so far.
    pub(crate) fn calls(&self) -> u32 {
        self.calls.load(Ordering::Relaxed)
    }
}

struct Caller {
    number: u32,
    target: SocketAddr,
    calls: Arc<AtomicU32>,
}

impl Caller {
    async fn call_for_ever(self, came: Arc<AtomicU32>) {
        // All of them within a second, not in one instant: the kernel would drop most of what comes at once.
        let start = Instant::now() + Duration::from_micros(u64::from(self.number % 10_000) * 100);
        let mut again = interval_at(start, AGAIN);
        let mut first = true;
        loop {
            again.tick().await;
            // Refused: the next round.
            if let Ok(stream) = self.call().await {
                self.calls.fetch_add(1, Ordering::Relaxed);
                came.fetch_add(u32::from(std::mem::take(&mut first)), Ordering::Relaxed);
                self.stay(stream).await;
            }
        }
    }

    async fn call(&self) -> std::io::Result<TcpStream> {
        let [_, _, high, low] = self.number.to_be_bytes();
        let socket = TcpSocket::new_v4()?;
        socket.bind((Ipv4Addr::new(127, 192, high, low), 0).into())?;
        socket.connect(self.target).await
    }

    /// Until it is let go.
    async fn stay(&self, mut stream: TcpStream) {
        let mut seconds = interval(SECOND);
        // The beginning of a frame of 64 bytes.
        let mut frame = [0, 0, 0, 64].into_iter().chain(std::iter::repeat(1));
        loop {
            seconds.tick().await;
            if self.number.is_multiple_of(2)
                && let Some(byte) = frame.next()
                && stream.write_all(&[byte]).await.is_err()
            {
                return;
            }
            let mut said = [0; 512];
            match stream.try_read(&mut said) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }
}
