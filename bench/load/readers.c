/*
 * Many readers and one publisher, for a server under measurement.
 *
 * Theory of operation. A job (a file of netstrings, written by hopsack_bench/job.py) says what every connection sends
 * and what it waits for while it opens: this program knows no protocol but WebSocket's frames, so the same code reads
 * from every server. When all readers are open it obeys lines on stdin:
 *
 *     -> {"opened": N, ...}                    all readers are open, and so is the publisher
 *     <- go RATE EVENTS GRACE_MS               publish EVENTS at RATE a second
 *     -> {"deliveries": D, ...}                all of them came, or GRACE_MS passed after the last was due
 *     <- end of file                           exit
 *
 * The load is open: event k is due at start + k / RATE, whatever the server does, and carries that time as "@ns=" and
 * 19 digits of CLOCK_MONOTONIC. Latency is counted from when an event was due, so a stalled server or publisher is
 * seen in every event it delayed (no coordinated omission). An event counts when its mark is read, whatever is around
 * it: servers that put many events in one frame, or one frame in many segments, are counted alike.
 *
 * Bounds: a handshake answer may be 64 KiB long; opening and each load have a deadline. Nothing is kept of an event.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    MARK_LEN = 4,
    DIGITS = 19,
    CARRY = MARK_LEN + DIGITS - 1,
    RECV_BYTES = 256 * 1024,
    ANSWER_BYTES = 64 * 1024,
    BATCH = 512,
    LARGEST_CONTROL = 125, /* RFC 6455, section 5.5 */
    SUB_BITS = 7,          /* histogram: 128 buckets per power of two, so within 0.8 % */
    BUCKETS = (64 - SUB_BITS + 1) << SUB_BITS,
};
static const char MARK[] = "@ns=";

typedef struct { const char *at; size_t size; } Bytes;
typedef struct { Bytes send, expect; } Step;
typedef struct { Step *steps; int count; } Script;

typedef struct {
    int readers, port, window, open_ms, audience, scripts;
    const char *host;
    bool websocket;
    Script *script;
    int publisher_port;
    Script publisher;
    char *template;
    size_t template_size;
    long at, sequence; /* offsets of the 19 digits and of 8 big-endian bytes that count; sequence may be -1 */
} Job;

/* RFC 6455, section 5.2, as far as a client must look to find and answer control frames. */
typedef struct {
    uint8_t head[10], head_size, opcode, control_size;
    uint64_t left;
    uint8_t control[LARGEST_CONTROL];
} Frames;

typedef struct {
    int fd, step;
    const Script *script;
    int64_t began;
    bool open, framed;
    char *answer;
    size_t answer_size;
    uint8_t carry_size;
    char carry[CARRY];
    Frames frames;
} Reader;

typedef struct { uint64_t counts[BUCKETS], total, max; double sum; } Histogram;

typedef struct {
    int fd;
    int64_t start;
    double rate;
    long events;
    atomic_long sent;
    atomic_bool stop;
    int64_t latest; /* by how much the latest send was behind its time, at most, in ns */
} Publication;

static Job job;
static Reader *readers;
static int poller, opened, closed;
static char room[CARRY + RECV_BYTES];
static char *const landing = room + CARRY;
static Histogram latency, joining;
static int64_t last_delivery, received_bytes;
static uint64_t sequence;

/* ---- small things ------------------------------------------------------------------------------------------------ */

static _Noreturn void fail(const char *format, ...) {
    char text[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (char *c = text; *c; c++)
        if (*c == '"' || *c == '\\' || (unsigned char)*c < ' ' || (unsigned char)*c > '~') *c = '.';
    printf("{\"error\": \"%s\"}\n", text);
    fflush(stdout);
    exit(1);
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static double cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void record(Histogram *h, int64_t value) {
    uint64_t v = value < 0 ? 0 : (uint64_t)value;
    int shift = v >> SUB_BITS ? 63 - __builtin_clzll(v) - SUB_BITS : 0;
    int bucket = v >> SUB_BITS ? ((shift + 1) << SUB_BITS) | (int)((v >> shift) & ((1 << SUB_BITS) - 1)) : (int)v;
    h->counts[bucket]++;
    h->total++;
    h->sum += v;
    if (v > h->max) h->max = v;
}

static double quantile_us(const Histogram *h, double q) {
    uint64_t seen = 0, wanted = (uint64_t)(q * h->total);
    for (int bucket = 0; bucket < BUCKETS; bucket++) {
        seen += h->counts[bucket];
        if (seen > wanted) {
            int shift = bucket >> SUB_BITS ? (bucket >> SUB_BITS) - 1 : 0;
            uint64_t low = bucket >> SUB_BITS ? (1ULL << SUB_BITS) | (bucket & ((1 << SUB_BITS) - 1)) : (uint64_t)bucket;
            return (low << shift) / 1e3;
        }
    }
    return h->max / 1e3;
}

/* ---- the job ----------------------------------------------------------------------------------------------------- */

static char *cursor, *job_end;

static Bytes next_bytes(void) {
    char *colon;
    size_t size = strtoul(cursor, &colon, 10);
    if (colon == cursor || *colon != ':' || colon + 1 + size >= job_end || colon[1 + size] != ',') fail("broken job file");
    Bytes bytes = {colon + 1, size};
    cursor = colon + 2 + size;
    return bytes;
}

static long next_number(void) { return strtol(next_bytes().at, NULL, 10); }

static const char *next_text(void) {
    Bytes bytes = next_bytes();
    return strndup(bytes.at, bytes.size);
}

static Script next_script(void) {
    Script script = {.count = (int)next_number()};
    script.steps = calloc(script.count + 1, sizeof *script.steps);
    for (int i = 0; i < script.count; i++) script.steps[i] = (Step){next_bytes(), next_bytes()};
    return script;
}

static void read_job(const char *path) {
    int fd = open(path, O_RDONLY);
    struct stat facts;
    if (fd < 0 || fstat(fd, &facts) < 0) fail("cannot read the job file");
    cursor = malloc(facts.st_size + 1);
    job_end = cursor + facts.st_size;
    for (char *at = cursor; at < job_end;) {
        ssize_t n = read(fd, at, job_end - at);
        if (n <= 0) fail("cannot read the job file");
        at += n;
    }
    *job_end = 0;
    close(fd);
    job.readers = next_number();
    job.host = next_text();
    job.port = next_number();
    job.websocket = next_number();
    job.window = next_number();
    job.open_ms = next_number();
    job.audience = next_number();
    job.scripts = next_number();
    job.script = calloc(job.scripts, sizeof *job.script);
    for (int i = 0; i < job.scripts; i++) job.script[i] = next_script();
    job.publisher_port = next_number();
    job.publisher = next_script();
    Bytes template = next_bytes();
    job.template_size = template.size;
    job.template = malloc(template.size + 1);
    memcpy(job.template, template.at, template.size);
    job.at = next_number();
    job.sequence = next_number();
}

/* ---- one reader -------------------------------------------------------------------------------------------------- */

static int open_socket(int port, int flags) {
    int fd = socket(AF_INET, SOCK_STREAM | flags, 0), yes = 1;
    if (fd < 0) fail("cannot make a socket: %s", strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, job.host, &to.sin_addr) != 1) fail("not an address: %s", job.host);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS)
        fail("cannot connect to port %d: %s", port, strerror(errno));
    return fd;
}

static void watch(Reader *reader, uint32_t events, int operation) {
    struct epoll_event event = {.events = events, .data.ptr = reader};
    if (epoll_ctl(poller, operation, reader->fd, &event) < 0) fail("epoll: %s", strerror(errno));
}

static void start_reader(Reader *reader, const Script *script) {
    *reader = (Reader){.fd = open_socket(job.port, SOCK_NONBLOCK), .script = script, .began = now_ns()};
    reader->answer = malloc(ANSWER_BYTES);
    watch(reader, EPOLLOUT, EPOLL_CTL_ADD);
}

static void send_step(Reader *reader) {
    Bytes bytes = reader->script->steps[reader->step].send;
    if (bytes.size && send(reader->fd, bytes.at, bytes.size, MSG_NOSIGNAL) != (ssize_t)bytes.size)
        fail("cannot send step %d of the opening: %s", reader->step, strerror(errno));
}

static void end_reader(Reader *reader, const char *why) {
    if (!reader->open) {
        int shown = reader->answer_size < 200 ? (int)reader->answer_size : 200;
        fail("the server closed a reader at step %d of its opening (%s); it had said: %.*s", reader->step, why, shown,
             reader->answer);
    }
    epoll_ctl(poller, EPOLL_CTL_DEL, reader->fd, NULL);
    close(reader->fd);
    reader->fd = -1;
    closed++;
}

static void control(Reader *reader) {
    Frames *f = &reader->frames;
    if (f->opcode == 8) end_reader(reader, "close frame");
    if (f->opcode != 9) return;
    char pong[6 + LARGEST_CONTROL] = {(char)0x8a, (char)(0x80 | f->control_size), 0, 0, 0, 0}; /* masked with zeros */
    memcpy(pong + 6, f->control, f->control_size);
    (void)!send(reader->fd, pong, 6 + f->control_size, MSG_NOSIGNAL);
}

static int header_size(const Frames *f) {
    if (f->head_size < 2) return 2;
    int size = f->head[1] & 127;
    return size == 127 ? 10 : size == 126 ? 4 : 2;
}

static void begin_frame(Frames *f) {
    if (f->head[1] & 128) fail("the server sent a masked frame");
    f->opcode = f->head[0] & 15;
    f->left = f->head[1] & 127;
    if (f->left >= 126) {
        int bytes = f->left == 126 ? 2 : 8;
        f->left = 0;
        for (int i = 0; i < bytes; i++) f->left = f->left << 8 | f->head[2 + i];
    }
    f->control_size = 0;
    f->head_size = 0;
    if (f->opcode >= 8 && f->left > LARGEST_CONTROL) fail("the server sent a control frame that is too long");
}

/* Follow the frames; data is skipped here and scanned elsewhere, control frames are answered. */
static void follow(Reader *reader, const char *at, size_t size) {
    Frames *f = &reader->frames;
    while (size && reader->fd >= 0) {
        if (f->left) {
            size_t n = f->left < size ? f->left : size;
            if (f->opcode >= 8) {
                memcpy(f->control + f->control_size, at, n);
                f->control_size += n;
            }
            f->left -= n, at += n, size -= n;
        } else {
            f->head[f->head_size++] = *at++, size--;
            if (f->head_size < header_size(f)) continue;
            begin_frame(f);
        }
        if (f->left == 0 && f->head_size == 0 && f->opcode >= 8) control(reader);
    }
}

static void finish_opening(Reader *reader) {
    free(reader->answer);
    reader->answer = NULL;
    reader->open = true;
    opened++;
    record(&joining, now_ns() - reader->began);
}

/* Go through the steps as far as the answers go. */
static void answered(Reader *reader) {
    while (!reader->open) {
        Bytes expect = reader->script->steps[reader->step].expect;
        char *match = memmem(reader->answer, reader->answer_size, expect.at, expect.size);
        if (!match) return;
        char *rest = match + expect.size;
        reader->answer_size -= rest - reader->answer;
        memmove(reader->answer, rest, reader->answer_size);
        if (job.websocket && !reader->framed) { /* the first step is the upgrade, and ends with its empty line */
            reader->framed = true;
            follow(reader, reader->answer, reader->answer_size);
        }
        if (++reader->step == reader->script->count) finish_opening(reader);
        else send_step(reader);
    }
}

static void scan(Reader *reader, size_t size, int64_t now) {
    char *at = landing - reader->carry_size, *end = landing + size;
    memcpy(at, reader->carry, reader->carry_size);
    char *kept = NULL;
    while ((at = memchr(at, MARK[0], end - at))) {
        if (end - at < MARK_LEN + DIGITS) {
            kept = at;
            break;
        }
        if (memcmp(at, MARK, MARK_LEN)) {
            at++;
            continue;
        }
        int64_t due = 0;
        for (int i = 0; i < DIGITS; i++) due = due * 10 + (at[MARK_LEN + i] - '0');
        record(&latency, now - due);
        last_delivery = now;
        at += MARK_LEN + DIGITS;
    }
    reader->carry_size = kept ? end - kept : 0;
    if (kept) memcpy(reader->carry, kept, reader->carry_size);
}

static void readable(Reader *reader) {
    ssize_t n = recv(reader->fd, landing, RECV_BYTES, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) {
        end_reader(reader, n ? strerror(errno) : "end of stream");
        return;
    }
    received_bytes += n;
    if (reader->framed) follow(reader, landing, n);
    if (reader->open) {
        scan(reader, n, now_ns());
        return;
    }
    if (reader->answer_size + n > ANSWER_BYTES) fail("an answer in the opening is too long");
    memcpy(reader->answer + reader->answer_size, landing, n);
    reader->answer_size += n;
    answered(reader);
}

static void happened(struct epoll_event *event) {
    Reader *reader = event->data.ptr;
    if (!reader || reader->fd < 0) return;
    if (event->events & EPOLLOUT) {
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(reader->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error) fail("cannot connect to port %d: %s", job.port, strerror(error));
        watch(reader, EPOLLIN, EPOLL_CTL_MOD);
        send_step(reader);
        answered(reader);
        return;
    }
    readable(reader);
}

/* Returns whether stdin has something to read. */
static bool turn(int timeout_ms) {
    struct epoll_event events[BATCH];
    int n = epoll_wait(poller, events, BATCH, timeout_ms);
    bool told = false;
    for (int i = 0; i < n; i++) {
        if (!events[i].data.ptr) told = true;
        happened(&events[i]);
    }
    return told;
}

static void open_readers(void) {
    int64_t began = now_ns();
    for (int started = 0; opened < job.readers;) {
        for (; started < job.readers && started - opened < job.window; started++)
            start_reader(&readers[started], &job.script[started % job.scripts]);
        turn(100);
        if (now_ns() - began > job.open_ms * 1000000LL) {
            Reader *late = readers;
            while (late->open) late++;
            int shown = late->answer_size < 200 ? (int)late->answer_size : 200;
            fail("only %d of %d readers were open after %d ms; one waits at step %d, having been told: %.*s", opened,
                 job.readers, job.open_ms, late->step, shown, late->answer);
        }
    }
    printf("{\"opened\": %d, \"seconds\": %.6f, \"p50_us\": %.1f, \"p99_us\": %.1f}\n", opened,
           (now_ns() - began) / 1e9, quantile_us(&joining, 0.5), quantile_us(&joining, 0.99));
    fflush(stdout);
}

/* ---- the publisher ----------------------------------------------------------------------------------------------- */

static void drain(int fd) {
    char answers[4096];
    while (recv(fd, answers, sizeof answers, MSG_DONTWAIT) > 0) {
    }
}

static int open_publisher(void) {
    int fd = open_socket(job.publisher_port, 0);
    struct timeval patience = {.tv_sec = 10};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    static char answer[ANSWER_BYTES];
    size_t size = 0;
    for (int i = 0; i < job.publisher.count; i++) {
        Step step = job.publisher.steps[i];
        if (send(fd, step.send.at, step.send.size, MSG_NOSIGNAL) != (ssize_t)step.send.size) fail("publisher: cannot send");
        char *match;
        while (!(match = memmem(answer, size, step.expect.at, step.expect.size))) {
            ssize_t n = recv(fd, answer + size, sizeof answer - size, 0);
            if (n <= 0) fail("the publisher waits at step %d, having been told: %.*s", i, size < 200 ? (int)size : 200, answer);
            size += n;
        }
        size -= match + step.expect.size - answer;
        memmove(answer, match + step.expect.size, size);
    }
    return fd;
}

static bool send_event(Publication *p) {
    for (size_t sent = 0; sent < job.template_size;) {
        ssize_t n = send(p->fd, job.template + sent, job.template_size - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            sent += n;
            continue;
        }
        if (n < 0 && errno != EAGAIN && errno != EINTR) return false;
        struct pollfd writable = {.fd = p->fd, .events = POLLOUT};
        poll(&writable, 1, 50);
        drain(p->fd);
        if (atomic_load(&p->stop)) return false;
    }
    return true;
}

static void stamp(int64_t due) {
    for (int i = DIGITS - 1; i >= 0; i--, due /= 10) job.template[job.at + i] = '0' + due % 10;
    if (job.sequence < 0) return;
    sequence++;
    for (int i = 0; i < 8; i++) job.template[job.sequence + i] = sequence >> (8 * (7 - i));
}

static void *publish(void *argument) {
    Publication *p = argument;
    prctl(PR_SET_TIMERSLACK, 1UL);
    for (long k = 0; k < p->events && !atomic_load(&p->stop); k++) {
        int64_t due = p->start + (int64_t)(k * 1e9 / p->rate);
        struct timespec until = {due / 1000000000, due % 1000000000};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
        stamp(due);
        if (!send_event(p)) break;
        int64_t late = now_ns() - due;
        if (late > p->latest) p->latest = late;
        atomic_fetch_add(&p->sent, 1);
        if (k % 16 == 0) drain(p->fd);
    }
    return NULL;
}

/* ---- one load ---------------------------------------------------------------------------------------------------- */

static void go(int publisher, double rate, long events, long grace_ms) {
    memset(&latency, 0, sizeof latency);
    last_delivery = received_bytes = 0;
    double cpu = cpu_seconds();
    Publication p = {.fd = publisher, .start = now_ns() + 20000000, .rate = rate, .events = events};
    int64_t cutoff = p.start + (int64_t)(events / rate * 1e9) + grace_ms * 1000000LL;
    uint64_t expected = (uint64_t)events * job.audience;
    pthread_t thread;
    if (pthread_create(&thread, NULL, publish, &p)) fail("cannot start the publisher");
    while ((latency.total < expected || atomic_load(&p.sent) < events) && now_ns() < cutoff) turn(10);
    int64_t ended = now_ns();
    atomic_store(&p.stop, true);
    pthread_join(thread, NULL);
    double seconds = ((latency.total == expected && last_delivery ? last_delivery : ended) - p.start) / 1e9;
    printf("{\"deliveries\": %lu, \"expected\": %lu, \"sent\": %ld, \"closed\": %d, \"seconds\": %.6f, \"p50_us\": %.1f, "
           "\"p99_us\": %.1f, \"p999_us\": %.1f, \"max_us\": %.1f, \"late_us\": %.1f, \"cpu\": %.6f, \"bytes\": %ld}\n",
           (unsigned long)latency.total, (unsigned long)expected, atomic_load(&p.sent), closed, seconds,
           quantile_us(&latency, 0.5), quantile_us(&latency, 0.99), quantile_us(&latency, 0.999), latency.max / 1e3,
           p.latest / 1e3, cpu_seconds() - cpu, (long)received_bytes);
    fflush(stdout);
}

static bool read_line(char *line, size_t room) {
    size_t size = 0;
    while (size + 1 < room) {
        ssize_t n = read(0, line + size, 1);
        if (n <= 0) return false;
        if (line[size] == '\n') break;
        size++;
    }
    line[size] = 0;
    return true;
}

int main(int count, char **arguments) {
    if (count != 2) fail("usage: readers JOB");
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    read_job(arguments[1]);
    readers = calloc(job.readers + 1, sizeof *readers);
    poller = epoll_create1(0);
    open_readers();
    int publisher = job.publisher_port ? open_publisher() : -1;
    struct epoll_event told = {.events = EPOLLIN};
    epoll_ctl(poller, EPOLL_CTL_ADD, 0, &told);
    for (;;) {
        while (!turn(1000)) {
        }
        char line[200];
        double rate;
        long events, grace;
        if (!read_line(line, sizeof line)) return 0;
        if (sscanf(line, "go %lf %ld %ld", &rate, &events, &grace) != 3) fail("not a command: %s", line);
        if (publisher < 0) fail("this job has no publisher");
        go(publisher, rate, events, grace);
    }
}
