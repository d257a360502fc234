//! Connections over real sockets, with a queue in place of the Speaker.

use std::io::Write;

use super::*;
use crate::driver::handle::{SpeakerEnds, channel};

const KEEPALIVE: [u8; 5] = [0, 0, 0, 1, 2];
const DEADLINE: Duration = Duration::from_secs(60);

fn bound() -> TcpListener {
    let socket = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    TcpListener::from_std(listen(socket).unwrap()).unwrap()
}

/// Both ends of a connection.
async fn pair() -> (TcpStream, TcpStream) {
    let listener = bound();
    let far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (listener.accept().await.unwrap().0, far)
}

async fn next(ends: &mut SpeakerEnds) -> Frames {
    let input = tokio::time::timeout(DEADLINE, ends.inputs.recv()).await;
    let Input::Frames(frames) = input.expect("in time").unwrap() else {
        panic!("only frames are expected")
    };
    frames
}

fn bytes(of: ConnId, batches: &[Frames]) -> usize {
    let of_it = batches.iter().filter(|batch| batch.conn == of);
    of_it.flat_map(|batch| &batch.frames).map(length).sum()
}

#[tokio::test]
async fn who_floods_is_read_up_to_its_window_and_others_go_on() {
    let (handle, mut ends) = channel();
    let (near, mut flooding) = pair().await;
    let (other_near, mut other) = pair().await;
    let (flooded, calm) = (ConnId(1), ConnId(2));
    let connection = Connection::start(flooded, near, None, &handle);
    let _other = Connection::start(calm, other_near, None, &handle);
    let flood = tokio::spawn(async move {
        let frame = [&[0, 0, 0xea, 0x61, 3][..], &[0; 60_000]].concat();
        while flooding.write_all(&frame).await.is_ok() {}
    });
    let mut held = Vec::new();
    while bytes(flooded, &held) < WINDOW / 2 {
        held.push(next(&mut ends).await);
    }
    other.write_all(&KEEPALIVE).await.unwrap();
    while bytes(calm, &held) == 0 {
        held.push(next(&mut ends).await);
    }
    for _ in 0..10_000 {
        tokio::task::yield_now().await;
    }
    while let Ok(Input::Frames(frames)) = ends.inputs.try_recv() {
        held.push(frames);
    }
    assert!(bytes(flooded, &held) <= WINDOW, "{} bytes", bytes(flooded, &held));
    assert!(connection.has_unheard(), "it waits here");
    drop(held);
    assert_eq!(next(&mut ends).await.conn, flooded, "there is room again");
    flood.abort();
}

#[tokio::test]
async fn what_waits_in_the_socket_or_in_the_queue_is_not_heard_yet() {
    let (handle, mut ends) = channel();
    let (near, far) = pair().await;
    let connection = Connection::start(ConnId(1), near, None, &handle);
    assert!(!connection.has_unheard());
    let mut far = far.into_std().unwrap();
    // Nothing runs in between: the reader has not seen it.
    far.write_all(&KEEPALIVE).unwrap();
    assert!(connection.has_unheard(), "in the socket");
    let frames = next(&mut ends).await;
    assert!(connection.has_unheard(), "in the queue");
    drop(frames);
    assert!(!connection.has_unheard());
    far.write_all(&KEEPALIVE[..3]).unwrap();
    while SockRef::from((*connection.read).as_ref())
        .peek(&mut [MaybeUninit::uninit()])
        .is_ok()
    {
        tokio::task::yield_now().await;
    }
    assert!(!connection.has_unheard(), "half a message is none");
}

#[tokio::test]
async fn small_packets_leave_at_once() {
    let (handle, _ends) = channel();
    let (near, _far) = pair().await;
    let connection = Connection::start(ConnId(1), near, None, &handle);
    assert!((*connection.read).as_ref().nodelay().unwrap());
}

#[tokio::test]
async fn only_so_many_are_let_in_and_one_that_goes_makes_room() {
    let (handle, mut ends) = channel();
    let listener = bound();
    let address = listener.local_addr().unwrap();
    let places = Arc::new(Semaphore::new(2));
    let accepting = tokio::spawn(accept(Arc::new(listener), Arc::clone(&places), handle.clone()));
    let mut callers = Vec::new();
    for _ in 0..3 {
        callers.push(TcpStream::connect(address).await.unwrap());
    }
    let mut let_in = Vec::new();
    for _ in 0..2 {
        let Some(Input::Incoming(stream, place)) = ends.inputs.recv().await else {
            panic!("only connections are expected")
        };
        let_in.push(Connection::start(ConnId(1), stream, Some(place), &handle));
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(ends.inputs.try_recv().is_err(), "the third waits");
    let_in.remove(0).close().await.unwrap();
    let third = tokio::time::timeout(DEADLINE, ends.inputs.recv())
        .await
        .expect("in time");
    assert!(matches!(third, Some(Input::Incoming(..))));
    accepting.abort();
}
