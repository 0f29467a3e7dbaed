/* A load that keeps a server busy: a closed loop, every byte that comes back compared.

   load_client PORT CONNECTIONS IN_FLIGHT LEAST MOST SECONDS WARM_UP_SECONDS SERVER_PID

   Each of CONNECTIONS keeps IN_FLIGHT frames under way: one more is sent for each that has come back.
   The payloads have LEAST to MOST bytes. All frames lie one behind the other in one block of memory, the
   wire. Each connection begins somewhere else in it and goes around it for ever, so what is due next on a
   connection is always known without being put together: sending is one call from the wire, and
   checking is one comparison with it. A reply that is wrong, swapped, repeated or another connection's
   differs from the wire; one that is lost is missed at the end, when all that is under way must come.

   Prints one JSON object. After an error it prints a line to stderr, with exit code 1.

   Latency is from the moment when a frame may be sent, which is when the reply came that made room for
   it, to the receive that completes its echo. The loop is closed: that is how long a busy server keeps
   a frame, and not what its clients would see at a rate of their own. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum {
  HEADER = 4,
  WIRE = 1 << 16,    /* about so many bytes of small frames: they stay in the processor's cache */
  RECEIVE = 1 << 18, /* what one call receives at most */
  PATIENCE_MS = 60000,
  STEPS = 64, /* of the histogram, for each doubling: 1.6 % */
};

/* A place in the stream of a connection; `frame` counts from the first of the wire. */
struct place {
  uint64_t frame;
  size_t byte; /* of the wire */
};

struct connection {
  int socket;
  int is_full; /* the kernel takes nothing more: its poll wakes us */
  struct place send, receive;
  uint64_t may_send; /* frames before this one */
  uint64_t *since;   /* when each frame under way was allowed, by its number modulo IN_FLIGHT */
};

static unsigned char *wire, *received;
static size_t *ends, wire_bytes, frame_count; /* ends[i]: of frame i in the wire */
static uint64_t in_flight, now, done, histogram[64 * STEPS];
static int poller, is_measuring;

static void fail(const char *what) {
  fprintf(stderr, "%s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
  exit(1);
}

static uint64_t read_clock(clockid_t clock) {
  struct timespec time;
  if (clock_gettime(clock, &time)) fail("the server has ended");
  return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

/* ---- latency ---- */

static size_t step_of(uint64_t ns) {
  if (ns < STEPS) return ns;
  int doublings = 63 - __builtin_clzll(ns) - 6;
  return (size_t)(doublings * STEPS) + (ns >> doublings);
}

static double percentile_us(double part) {
  uint64_t all = 0, seen = 0;
  for (size_t i = 0; i < 64 * STEPS; i++) all += histogram[i];
  for (size_t i = 0; i < 64 * STEPS; i++)
    if ((seen += histogram[i]) && (double)seen >= part * (double)all) {
      int doublings = i < 2 * STEPS ? 0 : (int)(i / STEPS) - 1;
      return (double)((i - (size_t)doublings * STEPS) << doublings) / 1e3;
    }
  return 0;
}

/* ---- the wire ---- */

static uint32_t any_number(void) {
  static uint32_t state = 1;
  state = state * 1664525 + 1013904223; /* Numerical Recipes: the same frames in every run */
  return state >> 8;
}

static void make_wire(size_t least, size_t most) {
  size_t enough = 4 * in_flight;
  frame_count = WIRE / (HEADER + (least + most) / 2) + 1;
  if (frame_count < enough) frame_count = enough;
  wire = malloc(frame_count * (HEADER + most));
  ends = malloc(frame_count * sizeof *ends);
  if (!wire || !ends) fail("no memory");
  for (size_t i = 0; i < frame_count; i++) {
    size_t length = least + any_number() % (most - least + 1);
    uint32_t header = htonl((uint32_t)length);
    memcpy(wire + wire_bytes, &header, HEADER);
    wire_bytes += HEADER;
    for (size_t end = wire_bytes + length; wire_bytes < end;) wire[wire_bytes++] = (unsigned char)any_number();
    ends[i] = wire_bytes;
  }
}

/* Moves a place forward by that many bytes, but never beyond the end of the wire. */
static void advance(struct place *place, size_t bytes) {
  place->byte += bytes;
  while (ends[place->frame % frame_count] <= place->byte)
    if (++place->frame % frame_count == 0) place->byte = 0;
}

/* ---- a connection ---- */

static void send_what_may(struct connection *c) {
  c->is_full = 0;
  while (c->send.frame < c->may_send) {
    size_t first = c->send.frame % frame_count, last = first + (c->may_send - c->send.frame) - 1;
    size_t end = ends[last < frame_count ? last : frame_count - 1];
    ssize_t sent = send(c->socket, wire + c->send.byte, end - c->send.byte, MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) {
      c->is_full = 1;
      return;
    }
    if (sent < 0) fail("cannot send");
    advance(&c->send, (size_t)sent);
  }
}

static void allow(struct connection *c, uint64_t frames) {
  for (; frames; frames--) c->since[c->may_send++ % in_flight] = now;
}

/* Returns whether there may be more to receive. */
static int receive(struct connection *c, int sends_more) {
  ssize_t count = recv(c->socket, received, RECEIVE, 0);
  if (count < 0 && errno == EAGAIN) return 0;
  if (count < 0) fail("cannot receive");
  errno = 0;
  if (count == 0) fail("the server has closed a connection");
  uint64_t before = c->receive.frame;
  for (size_t seen = 0, part; seen < (size_t)count; seen += part) {
    part = (size_t)count - seen;
    if (part > wire_bytes - c->receive.byte) part = wire_bytes - c->receive.byte;
    if (memcmp(received + seen, wire + c->receive.byte, part)) fail("a reply was wrong");
    advance(&c->receive, part);
  }
  if (c->receive.frame > c->send.frame) fail("a reply came before its message was sent");
  now = read_clock(CLOCK_MONOTONIC);
  for (uint64_t frame = before; is_measuring && frame < c->receive.frame; frame++)
    histogram[step_of(now - c->since[frame % in_flight])]++;
  done += c->receive.frame - before;
  if (sends_more) allow(c, c->receive.frame - before);
  send_what_may(c);
  return count == RECEIVE;
}

static void connect_to(struct connection *c, const struct sockaddr_in *address, size_t number) {
  int yes = 1;
  c->socket = socket(AF_INET, SOCK_STREAM, 0);
  if (c->socket < 0 || connect(c->socket, (const struct sockaddr *)address, sizeof *address))
    fail("cannot connect");
  setsockopt(c->socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  fcntl(c->socket, F_SETFL, O_NONBLOCK);
  c->send.frame = c->receive.frame = c->may_send = number * 37 % frame_count;
  if (c->send.frame) c->send.byte = c->receive.byte = ends[c->send.frame - 1];
  c->since = calloc(in_flight, sizeof *c->since);
  /* By edges: each event is a change, and what the kernel had no room for is sent at the next. */
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
  if (epoll_ctl(poller, EPOLL_CTL_ADD, c->socket, &event)) fail("cannot wait");
}

static void serve_events(int sends_more) {
  struct epoll_event events[256];
  int count = epoll_wait(poller, events, 256, PATIENCE_MS);
  errno = 0;
  if (count == 0) fail("a reply was lost, or the server hangs");
  for (int i = 0; i < count; i++) {
    struct connection *c = events[i].data.ptr;
    if (events[i].events & ~(unsigned)EPOLLOUT)
      while (receive(c, sends_more)) {}
    if (c->is_full) send_what_may(c);
  }
}

int main(int argc, char **argv) {
  if (argc != 9) fail("usage: load_client PORT CONNECTIONS IN_FLIGHT LEAST MOST SECONDS WARM_UP_SECONDS SERVER_PID");
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  size_t count = strtoul(argv[2], NULL, 10);
  in_flight = strtoul(argv[3], NULL, 10);
  make_wire(strtoul(argv[4], NULL, 10), strtoul(argv[5], NULL, 10));
  clockid_t server;
  if (clock_getcpuclockid(atoi(argv[8]), &server)) fail("there is no such server");
  struct connection *all = calloc(count, sizeof *all);
  received = malloc(RECEIVE);
  poller = epoll_create1(0);
  for (size_t i = 0; i < count; i++) connect_to(all + i, &address, i);
  now = read_clock(CLOCK_MONOTONIC);
  for (size_t i = 0; i < count; i++) {
    allow(all + i, in_flight);
    send_what_may(all + i);
  }
  uint64_t begin = now + (uint64_t)(atof(argv[7]) * 1e9), end = begin + (uint64_t)(atof(argv[6]) * 1e9);
  while (now < begin) serve_events(1);
  is_measuring = 1;
  uint64_t began = now, before = done;
  uint64_t server_before = read_clock(server), own_before = read_clock(CLOCK_PROCESS_CPUTIME_ID);
  /* However short it is: until the replies to what was sent meanwhile are among those counted. */
  while (now < end || done - before < 2 * count * in_flight) serve_events(1);
  is_measuring = 0;
  uint64_t server_ns = read_clock(server) - server_before, own_ns = read_clock(CLOCK_PROCESS_CPUTIME_ID) - own_before;
  double elapsed_s = (double)(now - began) / 1e9;
  uint64_t messages = done - before;
  for (size_t i = 0; i < count; i++)
    while (all[i].receive.frame < all[i].may_send) serve_events(0);
  printf("{\"messages\": %lu, \"elapsed_s\": %.6f, \"server_cpu_s\": %.6f, \"load_cpu_s\": %.6f, ", messages,
         elapsed_s, (double)server_ns / 1e9, (double)own_ns / 1e9);
  printf("\"all_messages\": %lu, \"p50_us\": %.1f, \"p99_us\": %.1f}\n", done, percentile_us(0.5),
         percentile_us(0.99));
  return 0;
}
