/*
 * The floor: a WebSocket server that does nothing but send. What it costs is what the kernel charges for delivering, so
 * a server that comes near it has nothing left to save.
 *
 *     floor each     one send() per event and reader: what a server must do when events come one by one
 *     floor turn     one send() per turn of the loop and reader: what a server may do when events come fast
 *
 * GET /sub makes a connection a reader, GET /pub makes it the publisher; every message of the publisher goes to every
 * reader as it is. It is no server for anything else: the key of the upgrade is not answered, errors end it, a reader
 * that does not read stops it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 65536, ROOM = 1 << 20 };

typedef enum { FRESH, READER, PUBLISHER } Role;

static Role roles[MOST];
static int readers[MOST], reader_count, poller;
static char input[ROOM], output[ROOM + 4096];
static size_t input_size, output_size;
static bool each;

static const char ACCEPTED[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";

static void send_all(int fd, const char *at, size_t size) {
    while (size) {
        ssize_t n = send(fd, at, size, MSG_NOSIGNAL);
        if (n < 0) return;
        at += n, size -= n;
    }
}

static void flush(void) {
    if (!output_size) return;
    for (int i = 0; i < reader_count; i++) send_all(readers[i], output, output_size);
    output_size = 0;
}

static void deliver(const char *payload, size_t size) {
    char *out = output + output_size;
    *out++ = (char)0x81;
    if (size < 126) *out++ = size;
    else *out++ = 126, *out++ = size >> 8, *out++ = size & 255;
    memcpy(out, payload, size);
    output_size = out + size - output;
    if (each || output_size > ROOM / 2) flush();
}

/* Whole frames of the publisher; it masks with zeros and keeps them under 64 KiB. */
static void frames(void) {
    size_t at = 0;
    while (input_size - at >= 2) {
        size_t size = input[at + 1] & 127, head = 6;
        if (size == 126) {
            if (input_size - at < 4) break;
            size = (size_t)(uint8_t)input[at + 2] << 8 | (uint8_t)input[at + 3], head = 8;
        }
        if (input_size - at < head + size) break;
        deliver(input + at + head, size);
        at += head + size;
    }
    input_size -= at;
    memmove(input, input + at, input_size);
    if (!each) flush();
}

static void leave(int fd) {
    for (int i = 0; i < reader_count; i++)
        if (readers[i] == fd) readers[i] = readers[--reader_count];
    if (roles[fd] == PUBLISHER) input_size = 0;
    roles[fd] = FRESH;
    close(fd);
}

static void upgrade(int fd) {
    char request[4096];
    ssize_t n = recv(fd, request, sizeof request - 1, 0);
    if (n <= 0) {
        leave(fd);
        return;
    }
    request[n] = 0;
    roles[fd] = strncmp(request, "GET /pub ", 9) ? READER : PUBLISHER;
    if (roles[fd] == READER) readers[reader_count++] = fd;
    send_all(fd, ACCEPTED, sizeof ACCEPTED - 1);
}

static void readable(int fd) {
    if (roles[fd] == FRESH) {
        upgrade(fd);
        return;
    }
    char ignored[512];
    bool publishes = roles[fd] == PUBLISHER;
    ssize_t n = publishes ? recv(fd, input + input_size, ROOM / 4 - input_size, 0) : recv(fd, ignored, sizeof ignored, 0);
    if (n <= 0) {
        leave(fd);
        return;
    }
    if (!publishes) return;
    input_size += n;
    frames();
}

static void join(int listener) {
    int fd = accept(listener, NULL, NULL), yes = 1;
    if (fd < 0 || fd >= MOST) exit(1);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
}

int main(int count, char **arguments) {
    each = count < 2 || !strcmp(arguments[1], "each");
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof here;
    if (bind(listener, (struct sockaddr *)&here, size) || listen(listener, 4096)) return 1;
    getsockname(listener, (struct sockaddr *)&here, &size);
    printf("{\"ready\": true, \"port\": %d}\n", ntohs(here.sin_port));
    fflush(stdout);
    poller = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[256];
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int n = epoll_wait(poller, events, 256, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd == listener) join(listener);
            else readable(events[i].data.fd);
        }
    }
}
