/* The words of each protocol that the load generator speaks, and where one of its units ends.
 *
 * A unit is what is counted: a line where the protocol is text, a frame where it is binary. A text may hold a number, as
 * long as what is written over it:
 *
 *   %uuu        a nonce, in four digits
 *   %ppppppppp  a pid, ten characters wide
 *   %www        a nonce in four bytes, the lowest first
 */
#ifndef PROTOCOLS_H
#define PROTOCOLS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES 512      /* longer than any text */
#define FRAME_HEAD_BYTES 16 /* as much of a frame as tells its length */

enum role { CALLER, READER, WRITER, IDLER, WATCHER /* of w5; a READER where the protocol has no other way */, ROLES };

/* Bytes that may hold NUL. */
struct text {
    const char *at;
    size_t n;
};

#define T(words) {words, sizeof(words) - 1}

struct proto {
    const char *name;
    struct text hello[ROLES]; /* by role: what a new connection sends */
    struct text ready[ROLES]; /* by role: what ends the greeting when it has come, and its unit is whole */
    struct text subscribe, subscribed; /* what a reader says next, and its end; empty: its hello was enough */
    struct text fence, fenced; /* asks for, and shows, that nothing older is still to come; empty: not needed */
    struct text ping, pong;
    struct text change, changed; /* a command that changes state, and its answer; empty: none */
    int change_units;
    struct text publish, delivery;
    int delivery_units;
    struct text bye;  /* the word of leaving; the server then closes. Empty: the client closes */
    struct text gone; /* what a watcher is told when another client died; empty: nothing */
    struct text probe, probe_answer; /* asked by the server at any time, and answered */
    const char *reader_path;         /* appended to the server's path for readers; NULL: nothing */
    size_t preamble_bytes;           /* sent by the server before its first frame */
    size_t (*frame)(const char *head, size_t have); /* bytes of the frame that begins so, 0: not yet known; NULL: lines */
};

/* Write a text and its number to `out`; returns its length. */
static size_t render(char *out, struct text text, unsigned number)
{
    char digits[16];
    memcpy(out, text.at, text.n);
    char *at = memchr(out, '%', text.n);
    if (at && at[1] == 'w')
        memcpy(at, &number, 4);
    else if (at)
        memcpy(at, digits, (size_t)snprintf(digits, sizeof digits, at[1] == 'p' ? "%10u" : "%04u", number));
    return text.n;
}

static size_t mqtt_frame(const char *head, size_t have)
{
    return have < 2 ? 0 : 2 + (size_t)(unsigned char)head[1]; /* all of ours are shorter than 128 bytes */
}

static size_t zmtp_frame(const char *head, size_t have)
{
    return have < 2 ? 0 : 2 + (size_t)(unsigned char)head[1]; /* as above, and none has the flag for long ones */
}

static size_t dbus_frame(const char *head, size_t have)
{
    uint32_t body, fields;
    if (have < 16)
        return 0;
    memcpy(&body, head + 4, sizeof body); /* we ask in little-endian, and a daemon of the same machine answers so */
    memcpy(&fields, head + 12, sizeof fields);
    return 16 + (fields + 7) / 8 * 8 + body;
}

#define QD(more) "{\"cmd\":\"register\",\"kind\":\"tool\",\"pid\":%ppppppppp,\"version\":\"bench\"" more "}\n"
#define QD_QUIET QD(",\"subscribe\":{\"events\":[\"none*\"]}")

#define NATS(more) "CONNECT {\"verbose\":false,\"pedantic\":false" more "}\r\n"
#define NATS_WATCHER NATS(",\"user\":\"sys\",\"pass\":\"sys\"") "SUB $SYS.ACCOUNT.bench.DISCONNECT 1\r\n"

/* MQTT 3.1.1: CONNECT with a clean session, no keep-alive, and a client id of ten digits; a caller's last will is "gone". */
#define MQTT_CONNECT "\020\026\000\004MQTT\004\002\000\000\000\012%ppppppppp"
#define MQTT_CONNECT_WILL "\020\037\000\004MQTT\004\006\000\000\000\012%ppppppppp\000\001t\000\004gone"
#define MQTT_SUBSCRIBE "\202\006\000\001\000\001t\000"
#define MQTT_CONNACK "\040\002\000\000"

/* ZMTP 3.0, no security: 64 bytes of greeting, then READY with the socket's type. */
#define NUL4 "\0\0\0\0"
#define NUL16 NUL4 NUL4 NUL4 NUL4
#define ZMTP_GREETING "\377" NUL4 NUL4 "\177\003\000NULL" NUL16 "\0" NUL16 NUL4 NUL4 NUL4 "\0\0\0"
#define ZMTP_DEALER ZMTP_GREETING "\004\034\005READY\013Socket-Type\000\000\000\006DEALER"
#define ZMTP_SUB ZMTP_GREETING "\004\031\005READY\013Socket-Type\000\000\000\003SUB"
/* Subscribe to t, then to a topic of this connection's own, on which the server says that both have come. */
#define ZMTP_SUBSCRIBE "\000\002\001t\000\014\001r%ppppppppp"

static const struct proto PROTOS[] = {
    {.name = "qd",
     .hello = {T(QD("")), T(QD("")), T(QD_QUIET), T(QD_QUIET)},
     .ready = {T("\"event\":\"registered\""), T("\"event\":\"registered\""), T("\"event\":\"subscribed\""), T("\"event\":\"subscribed\"")},
     .fence = T("{\"cmd\":\"ping\",\"nonce\":7}\n"), .fenced = T("\"event\":\"pong\""),
     .ping = T("{\"cmd\":\"ping\",\"nonce\":%uuu}\n"), .pong = T("\"nonce\":%uuu"),
     .change = T("{\"cmd\":\"publish\",\"topic\":\"t\",\"payload\":%uuu,\"id\":1}\n"), .changed = T("\"event\":\"ack\""),
     .change_units = 2,
     .publish = T("{\"cmd\":\"publish\",\"topic\":\"t\",\"payload\":%uuu}\n"), .delivery = T("\"payload\":%uuu"), .delivery_units = 1,
     .bye = T("{\"cmd\":\"goodbye\"}\n"), .gone = T("\"event\":\"process_exited\"")},
    {.name = "echo", /* the C limit speaks it too, and alone knows the words of readers and writers */
     .hello = {T("hello\n"), T("sub\n"), T("pub\n"), T("hello\n")},
     .ready = {T("hello\n"), T("sub\n"), T("pub\n"), T("hello\n")},
     .ping = T("{\"cmd\":\"ping\",\"nonce\":%uuu}\n"), .pong = T("\"nonce\":%uuu"),
     .publish = T("{\"event\":\"published\",\"topic\":\"t\",\"payload\":%uuu,\"client_id\":1,\"version\":1234567}\n"),
     .delivery = T("\"payload\":%uuu"), .delivery_units = 1, .gone = T("gone\n")},
    {.name = "redis",
     .hello = {T("PING\r\n"), T("SUBSCRIBE t\r\n"), T("PING\r\n"), T("PING\r\n")},
     .ready = {T("+PONG\r\n"), T("\r\n:1\r\n"), T("+PONG\r\n"), T("+PONG\r\n")},
     .ping = T("*1\r\n$4\r\nPING\r\n"), .pong = T("+PONG"),
     .publish = T("*3\r\n$7\r\nPUBLISH\r\n$1\r\nt\r\n$4\r\n%uuu\r\n"), .delivery = T("\r\n%uuu\r\n"), .delivery_units = 7,
     .bye = T("QUIT\r\n")},
    {.name = "nats",
     .hello = {T(NATS("") "PING\r\n"), T(NATS("") "SUB t 1\r\nPING\r\n"), T(NATS("") "PING\r\n"), T(NATS("") "PING\r\n"), T(NATS_WATCHER "PING\r\n")},
     .ready = {T("PONG\r\n"), T("PONG\r\n"), T("PONG\r\n"), T("PONG\r\n"), T("PONG\r\n")},
     .ping = T("PING\r\n"), .pong = T("PONG"),
     .publish = T("PUB t 4\r\n%uuu\r\n"), .delivery = T("\r\n%uuu\r\n"), .delivery_units = 2, .gone = T(".DISCONNECT"),
     .probe = T("PING\r\n"), .probe_answer = T("PONG\r\n")},
    {.name = "mqtt", .frame = mqtt_frame,
     .hello = {T(MQTT_CONNECT_WILL), T(MQTT_CONNECT MQTT_SUBSCRIBE), T(MQTT_CONNECT), T(MQTT_CONNECT)},
     .ready = {T(MQTT_CONNACK), T("\220\003\000\001\000"), T(MQTT_CONNACK), T(MQTT_CONNACK)},
     .ping = T("\300\000"), .pong = T("\320\000"),
     .publish = T("\060\007\000\001t%uuu"), .delivery = T("\000\001t%uuu"), .delivery_units = 1,
     .bye = T("\340\000"), .gone = T("\000\001tgone")},
    {.name = "zmtp", .frame = zmtp_frame, .preamble_bytes = 64, .reader_path = ".pub",
     .hello = {T(ZMTP_DEALER), T(ZMTP_SUB), T(ZMTP_DEALER), T(ZMTP_DEALER)},
     .ready = {T("\005READY"), T("\005READY"), T("\005READY"), T("\005READY")},
     .subscribe = T(ZMTP_SUBSCRIBE), .subscribed = T("\000\013r"),
     .ping = T("\000\005p%uuu"), .pong = T("\000\005p%uuu"),
     .publish = T("\000\005t%uuu"), .delivery = T("\000\005t%uuu"), .delivery_units = 1, .gone = T("\000\005tgone")},
};

/* --- D-Bus: its messages are put together here, since their members are aligned --- */

#define BUS "org.freedesktop.DBus"
#define MESSAGES_BYTES 512

/* Some messages, one after the other. */
struct messages {
    char bytes[MESSAGES_BYTES];
    size_t n, from; /* where the last of them begins */
};

static void add_bytes(struct messages *m, const void *bytes, size_t n)
{
    memcpy(m->bytes + m->n, bytes, n);
    m->n += n;
}

static void add_padding(struct messages *m)
{
    while ((m->n - m->from) % 8)
        m->bytes[m->n++] = 0;
}

static void add_string(struct messages *m, const char *words)
{
    uint32_t n = (uint32_t)strlen(words);
    add_bytes(m, &n, sizeof n);
    add_bytes(m, words, n + 1);
}

static void add_field(struct messages *m, char code, char type, const char *words)
{
    const char head[] = {code, 1, type, 0};
    add_padding(m);
    add_bytes(m, head, sizeof head);
    add_string(m, words);
}

/* Add a call of the daemon, or with no `destination` a signal to all; `body` is one string, or NULL for none. */
static void add_message(struct messages *m, const char serial[4], const char *destination, const char *interface,
                        const char *member, const char *body)
{
    const char head[] = {'l', destination ? 1 : 4, destination ? 0 : 1, 1};
    uint32_t body_bytes = body ? (uint32_t)strlen(body) + 5 : 0, field_bytes = 0;
    m->from = m->n;
    add_bytes(m, head, sizeof head);
    add_bytes(m, &body_bytes, sizeof body_bytes);
    add_bytes(m, serial, 4);
    add_bytes(m, &field_bytes, sizeof field_bytes);
    add_field(m, 1, 'o', "/org/freedesktop/DBus");
    add_field(m, 2, 's', interface);
    add_field(m, 3, 's', member);
    if (destination)
        add_field(m, 6, 's', destination);
    if (body) {
        add_padding(m);
        add_bytes(m, "\010\001g\000\001s", 7); /* the signature */
    }
    field_bytes = (uint32_t)(m->n - m->from - 16);
    memcpy(m->bytes + m->from + 12, &field_bytes, sizeof field_bytes);
    add_padding(m);
    if (body)
        add_string(m, body);
}

/* Keep what was put together. */
static struct text text_of(const struct messages *m)
{
    char *kept = malloc(m->n);
    memcpy(kept, m->bytes, m->n);
    return (struct text){kept, m->n};
}

/* Authentication by the socket's own credentials, Hello, for readers a subscription, and a ping that shows all is done. */
static struct text dbus_hello(const char *match)
{
    static const struct text auth = T("\000AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n");
    struct messages m = {.n = 0};
    add_bytes(&m, auth.at, auth.n);
    add_message(&m, "\1\0\0\0", BUS, BUS, "Hello", NULL);
    if (match)
        add_message(&m, "\2\0\0\0", BUS, BUS, "AddMatch", match);
    add_message(&m, "\7\0\0\0", BUS, BUS ".Peer", "Ping", NULL);
    return text_of(&m);
}

static struct text dbus_message(const char serial[4], const char *destination, const char *interface, const char *member,
                                const char *body)
{
    struct messages m = {.n = 0};
    add_message(&m, serial, destination, interface, member, body);
    return text_of(&m);
}

/* "Reply to the message of this serial", as a header's field. */
#define REPLY_TO(serial) T("\005\001u\000" serial)

static struct proto dbus(void)
{
    struct text hello = dbus_hello(NULL);
    return (struct proto){
        .name = "dbus", .frame = dbus_frame, .preamble_bytes = sizeof "DATA\r\nOK \r\n" - 1 + 32 /* the daemon's id */,
        .hello = {hello, dbus_hello("type='signal',interface='bench.T'"), hello, hello,
                  dbus_hello("type='signal',member='NameOwnerChanged'")},
        .ready = {REPLY_TO("\7\0\0\0"), REPLY_TO("\7\0\0\0"), REPLY_TO("\7\0\0\0"), REPLY_TO("\7\0\0\0"), REPLY_TO("\7\0\0\0")},
        .fence = dbus_message("\7\0\0\0", BUS, BUS ".Peer", "Ping", NULL), .fenced = REPLY_TO("\7\0\0\0"),
        .ping = dbus_message("%www", BUS, BUS ".Peer", "Ping", NULL), .pong = REPLY_TO("%www"),
        .publish = dbus_message("\3\0\0\0", NULL, "bench.T", "T", "%uuu"), .delivery = T("\004\000\000\000%uuu"), .delivery_units = 1,
        .gone = T("NameOwnerChanged")};
}

#endif
