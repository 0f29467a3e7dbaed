// Go as its users write it: a goroutine per connection, buffered reading and writing.
//
// goroutines MAX_FRAME_LENGTH [--certfile FILE]
//
// It flushes where nothing more has come, so frames that came together leave together.
// Go sets TCP_NODELAY itself. With a certificate it serves under TLS; the file has the private key, too.
package main

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
)

const (
	headerBytes = 4
	bufferBytes = 1 << 18
)

func serve(connection net.Conn, maxFrameLength int) {
	defer connection.Close()
	reader := bufio.NewReaderSize(connection, bufferBytes)
	writer := bufio.NewWriterSize(connection, bufferBytes)
	defer writer.Flush()
	for {
		if reader.Buffered() < headerBytes && writer.Flush() != nil {
			return
		}
		header, err := reader.Peek(headerBytes)
		if err != nil {
			return
		}
		length := int(binary.BigEndian.Uint32(header))
		if length > maxFrameLength {
			return
		}
		frameBytes := headerBytes + length
		if reader.Buffered() < frameBytes && writer.Flush() != nil {
			return
		}
		if frameBytes <= reader.Size() {
			frame, err := reader.Peek(frameBytes)
			if err != nil {
				return
			}
			if _, err := writer.Write(frame); err != nil {
				return
			}
			reader.Discard(frameBytes)
			continue
		}
		frame := make([]byte, frameBytes)
		if _, err := io.ReadFull(reader, frame); err != nil {
			return
		}
		if _, err := writer.Write(frame); err != nil {
			return
		}
	}
}

func main() {
	maxFrameLength, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	if len(os.Args) > 3 && os.Args[2] == "--certfile" {
		certificate, err := tls.LoadX509KeyPair(os.Args[3], os.Args[3])
		if err != nil {
			panic(err)
		}
		listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{certificate}})
	}
	fmt.Fprintf(os.Stderr, "listening on %s\n", listener.Addr())
	for {
		connection, err := listener.Accept()
		if err != nil {
			panic(err)
		}
		go serve(connection, maxFrameLength)
	}
}
