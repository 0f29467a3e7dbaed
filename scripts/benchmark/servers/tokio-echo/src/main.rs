//! tokio with tokio-util's own codec: a task per connection, which forwards frames to where they came from.
//!
//! tokio-echo MAX_FRAME_LENGTH
//!
//! `forward` flushes where no frame is ready, so frames that came together leave together.

use futures_util::{StreamExt, TryStreamExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec};

const BUFFER_BYTES: usize = 1 << 16;

async fn serve(mut connection: TcpStream, max_frame_length: usize) -> std::io::Result<()> {
    connection.set_nodelay(true)?;
    let codec = LengthDelimitedCodec::builder()
        .max_frame_length(max_frame_length)
        .new_codec();
    let (receiving, sending) = connection.split();
    let frames = FramedRead::with_capacity(receiving, codec.clone(), BUFFER_BYTES);
    frames
        .map_ok(|payload| payload.freeze())
        .forward(FramedWrite::new(sending, codec))
        .await
}

async fn listen(max_frame_length: usize) -> std::io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind("127.0.0.1:0".parse().expect("an address"))?;
    let listener = socket.listen(4096)?;
    eprintln!("listening on {}", listener.local_addr()?);
    loop {
        let (connection, _) = listener.accept().await?;
        // An error ends its own connection, and says nothing: a benchmark's client knows it.
        tokio::spawn(async move { serve(connection, max_frame_length).await.ok() });
    }
}

fn main() -> std::io::Result<()> {
    let max_frame_length = std::env::args().nth(1).and_then(|text| text.parse().ok());
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?
        .block_on(listen(max_frame_length.expect("usage: tokio-echo MAX_FRAME_LENGTH")))
}
