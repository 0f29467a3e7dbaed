/* The least that an echo of whole frames can cost here: C, one thread, epoll.

   epoll MAX_FRAME_LENGTH

   Where what was received is whole frames, it is sent from where it was received. The rest has a buffer of
   its own: of a frame that has not come as a whole, and of what the peer does not take. No clocks, no limit
   of connections, no drain, no reports: no service, but what the kernel leaves possible. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEADER = 4, SHARED = 1 << 18 };

struct connection {
  int socket;
  int is_ending;        /* the peer has sent its last byte, or a frame that is too large */
  unsigned char *bytes; /* its own buffer; NULL while it has needed none */
  size_t room, sent, whole, filled; /* bytes: sent to here, whole frames to here, received to here */
};

static unsigned char shared[SHARED];
static size_t max_frame_length;
static int poller;

static void end(struct connection *c) {
  close(c->socket);
  free(c->bytes);
  free(c);
}

/* Returns where the last whole frame ends; `missing` is what is needed of the one behind it. */
static size_t end_of_whole(const unsigned char *bytes, size_t count, size_t *missing, int *is_too_large) {
  size_t at = 0;
  *missing = HEADER;
  while (count - at >= HEADER) {
    uint32_t length;
    memcpy(&length, bytes + at, HEADER);
    *missing = HEADER + (size_t)ntohl(length);
    if (*missing - HEADER > max_frame_length) {
      *is_too_large = 1;
      return at;
    }
    if (count - at < *missing) return at;
    at += *missing;
    *missing = HEADER;
  }
  return at;
}

static void make_room(struct connection *c, size_t bytes) {
  if (c->room >= bytes) return;
  c->room = bytes;
  c->bytes = realloc(c->bytes, bytes);
  if (!c->bytes) exit(1);
}

static void wait_for(struct connection *c, uint32_t what) {
  struct epoll_event event = {.events = what, .data.ptr = c};
  epoll_ctl(poller, EPOLL_CTL_MOD, c->socket, &event);
}

/* Sends the whole frames in its buffer; returns whether the connection is still there. */
static int flush(struct connection *c) {
  while (c->sent < c->whole) {
    ssize_t count = send(c->socket, c->bytes + c->sent, c->whole - c->sent, MSG_NOSIGNAL);
    if (count < 0 && errno == EAGAIN) {
      wait_for(c, EPOLLOUT);
      return 1;
    }
    if (count < 0) return end(c), 0;
    c->sent += (size_t)count;
  }
  if (c->is_ending) return end(c), 0;
  memmove(c->bytes, c->bytes + c->whole, c->filled - c->whole);
  c->filled -= c->whole;
  c->sent = c->whole = 0;
  return 1;
}

static void receive(struct connection *c) {
  size_t missing;
  unsigned char *into = c->filled ? c->bytes + c->filled : shared;
  ssize_t count = recv(c->socket, into, c->filled ? c->room - c->filled : SHARED, 0);
  if (count < 0 && errno == EAGAIN) return;
  if (count <= 0) return end(c);
  if (!c->filled) {
    size_t whole = end_of_whole(shared, (size_t)count, &missing, &c->is_ending);
    ssize_t sent = whole ? send(c->socket, shared, whole, MSG_NOSIGNAL) : 0;
    if (sent < 0 && errno != EAGAIN) return end(c);
    size_t done = sent < 0 ? 0 : (size_t)sent;
    if (done == (size_t)count) return;
    make_room(c, missing > SHARED ? missing : SHARED);
    c->filled = (size_t)count - done;
    c->whole = whole - done;
    memcpy(c->bytes, shared + done, c->filled);
  } else {
    c->filled += (size_t)count;
    c->whole = end_of_whole(c->bytes, c->filled, &missing, &c->is_ending);
    make_room(c, missing);
  }
  if (c->whole || c->is_ending) flush(c);
}

static void take(int listener) {
  int yes = 1, peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
  if (peer < 0) return;
  setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  struct connection *c = calloc(1, sizeof *c);
  c->socket = peer;
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
  epoll_ctl(poller, EPOLL_CTL_ADD, peer, &event);
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  max_frame_length = strtoul(argv[1], NULL, 10);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 4096)) return 1;
  getsockname(listener, (struct sockaddr *)&address, &size);
  poller = epoll_create1(0);
  struct epoll_event of_listener = {.events = EPOLLIN, .data.ptr = NULL}, events[256];
  epoll_ctl(poller, EPOLL_CTL_ADD, listener, &of_listener);
  fprintf(stderr, "listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
  for (;;) {
    int count = epoll_wait(poller, events, 256, -1);
    for (int i = 0; i < count; i++) {
      struct connection *c = events[i].data.ptr;
      if (!c) take(listener);
      else if (!(events[i].events & EPOLLOUT)) receive(c);
      else if (flush(c) && !c->whole) wait_for(c, EPOLLIN);
    }
  }
}
