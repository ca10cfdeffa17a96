/* The floor under every figure: accept, answer the upgrade, and for each POST one send(2) a socket.
 * One channel; no handshake key, no history, no check of anything: it shows what the kernel costs. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_FD = 20000, BUFFER = 1 << 18 };
enum kind { UNUSED, HTTP, SOCKET };

static enum kind kinds[MAX_FD];
static int subscribers[MAX_FD], subscriber_count;
static char buffer[BUFFER + 1];

static const char SWITCH[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
static const char ACCEPTED[] = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";

static void die(const char *what) { perror(what); exit(1); }

static void forget(int fd) {
    if (kinds[fd] == SOCKET)
        for (int i = 0; i < subscriber_count; i++)
            if (subscribers[i] == fd) { subscribers[i] = subscribers[--subscriber_count]; break; }
    kinds[fd] = UNUSED;
    close(fd);
}

static void broadcast(const char *body, size_t size) {
    static char frame[BUFFER + 4];
    size_t head = 2;
    frame[0] = (char)0x81;
    if (size < 126) {
        frame[1] = (char)size;
    } else {
        frame[1] = 126; frame[2] = (char)(size >> 8); frame[3] = (char)size; head = 4;
    }
    memcpy(frame + head, body, size);
    for (int i = 0; i < subscriber_count; i++)
        if (send(subscribers[i], frame, head + size, MSG_NOSIGNAL) != (ssize_t)(head + size) && errno != EPIPE)
            die("a receiver is too slow for the floor");
}

static void request(int fd) {
    ssize_t got = recv(fd, buffer, BUFFER, 0);
    if (got <= 0) { if (got == 0 || errno != EAGAIN) forget(fd); return; }
    if (kinds[fd] == SOCKET) return; /* a client's frame: nothing to answer */
    char *at = buffer;
    buffer[got] = 0;
    while (at < buffer + got) {
        char *end = strstr(at, "\r\n\r\n");
        if (end == NULL) { fprintf(stderr, "a split request is more than the floor can read\n"); exit(1); }
        if (at[0] == 'G') {
            kinds[fd] = SOCKET;
            subscribers[subscriber_count++] = fd;
            if (send(fd, SWITCH, sizeof SWITCH - 1, MSG_NOSIGNAL) < 0) forget(fd);
            return;
        }
        char *length = strcasestr(at, "content-length:");
        size_t size = length ? strtoul(length + 15, NULL, 10) : 0;
        broadcast(end + 4, size);
        if (send(fd, ACCEPTED, sizeof ACCEPTED - 1, MSG_NOSIGNAL) < 0) { forget(fd); return; }
        at = end + 4 + size;
    }
}

int main(int argc, char **argv) {
    if (argc != 2) { fprintf(stderr, "usage: floor PORT\n"); return 2; }
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1, poll = epoll_create1(0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[1])),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096)) die("listen");
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, ready[1024];
    if (epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event)) die("epoll_ctl");
    for (;;) {
        int count = epoll_wait(poll, ready, 1024, -1);
        for (int i = 0; i < count; i++) {
            int fd = ready[i].data.fd;
            if (fd != listener) { request(fd); continue; }
            while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                if (fd >= MAX_FD) { close(fd); continue; }
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                kinds[fd] = HTTP;
                event.events = EPOLLIN; event.data.fd = fd;
                if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event)) die("epoll_ctl");
            }
        }
    }
}
