// An echo of 4-byte length-prefixed frames on Node.js' own sockets.  usage: length_prefixed.js PORT
'use strict';
const net = require('net');

const LIMIT = 1 << 20;

const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
  let buffer = Buffer.alloc(0);

  socket.on('data', (data) => {
    buffer = Buffer.concat([buffer, data]);
    while (buffer.length >= 4) {
      const length = buffer.readUInt32BE(0);
      if (length > LIMIT) {
        socket.removeAllListeners('data').resume().end(); // read on, so that no reset destroys echoes
        return;
      }
      if (buffer.length < 4 + length) break;
      if (!socket.write(buffer.subarray(0, 4 + length))) socket.pause();
      buffer = buffer.subarray(4 + length);
    }
  });
  socket.on('drain', () => socket.resume());
  socket.on('end', () => socket.end());
  socket.on('error', () => {}); // the peer has reset it; 'close' follows
});

server.listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: 1024 });
