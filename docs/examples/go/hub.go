// A client of hub.v1, written from docs/protocol.md alone: one channel, resumed by position.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

// Position is what was seen: everything of an epoch up to an offset.
type Position struct {
	Epoch  string `json:"epoch"`
	Offset int64  `json:"offset"`
}

// Gap is a range of offsets that will not come.
type Gap struct {
	From  int64  `json:"from"`
	To    int64  `json:"to"`
	Cause string `json:"cause"`
}

// Message is whatever the hub sends: an event where the type does not begin with "hub.".
type Message struct {
	Type      string          `json:"type"`
	Channel   string          `json:"channel"`
	Epoch     string          `json:"epoch"`
	Offset    int64           `json:"offset"`
	Payload   json.RawMessage `json:"payload"`
	Events    []Message       `json:"events"`
	Snapshot  []Message       `json:"snapshot"`
	More      bool            `json:"more"`
	Recovered bool            `json:"recovered"`
	Gap       *Gap            `json:"gap"`
	Filled    bool            `json:"filled"`
	Retry     bool            `json:"retry"`
	RetryMs   int64           `json:"retry_after_ms"`
	Code      json.RawMessage `json:"code"`
	Reason    string          `json:"reason"`
	Reconnect *Window         `json:"reconnect"`
	Resume    string          `json:"resume"`
	Limits    struct {
		FrameBytes int64 `json:"frame_bytes"`
	} `json:"limits"`
}

// Window is when to come back, in ms from now.
type Window struct {
	MinMs int64 `json:"min_ms"`
	MaxMs int64 `json:"max_ms"`
}

func (w Window) pick() time.Duration {
	return time.Duration(w.MinMs+rand.Int64N(max(1, w.MaxMs-w.MinMs+1))) * time.Millisecond
}

// Handler is the application's side; called from one goroutine at a time, in order.
type Handler struct {
	Event    func(offset int64, payload json.RawMessage)
	Snapshot func(events []Message)
	Gap      func(gap Gap)
}

// Client follows one channel until its context ends or the hub says stop.
type Client struct {
	URL, Channel string
	Token        func() string
	Handler      Handler

	position *Position // nil: nothing known yet
	pages    []Message // of a snapshot that is not complete
	paging   bool
	resume   string
	bounds   Window
	attempts int
}

type link struct {
	socket *websocket.Conn
	born   time.Time
}

// ending says what the end of a connection means (section 8).
type ending struct {
	stop   bool
	window *Window
	err    error
}

const steady = 10 * time.Second // so long a connection stands before attempts are counted anew

// Run returns when the context ends, or with the reason for which the hub wants no more of this client.
func (c *Client) Run(ctx context.Context) error {
	c.bounds = Window{500, 20000}
	var next *link
	for {
		current := next
		next = nil
		if current == nil {
			opened, end := c.open(ctx)
			if end != nil {
				if end.stop || ctx.Err() != nil {
					return end.err
				}
				c.pause(ctx, end.window)
				continue
			}
			current = opened
		}
		var end ending
		next, end = c.live(ctx, current)
		if next != nil {
			continue
		}
		if end.stop || ctx.Err() != nil {
			return end.err
		}
		if time.Since(current.born) > steady {
			c.attempts = 0
		}
		c.pause(ctx, end.window)
	}
}

// open connects, and asks for the channel by the position that there is.
func (c *Client) open(ctx context.Context) (*link, *ending) {
	opened, end := c.dial(ctx)
	if end != nil {
		return nil, end
	}
	if err := c.subscribe(ctx, opened.socket); err != nil {
		opened.socket.CloseNow()
		return nil, closed(err, nil)
	}
	return opened, nil
}

// dial connects and waits for the welcome.
func (c *Client) dial(ctx context.Context) (*link, *ending) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	url := c.URL
	if c.resume != "" {
		url += "?resume=" + c.resume
	}
	socket, answer, err := websocket.Dial(ctx, url, &websocket.DialOptions{
		Subprotocols: []string{"hub.v1.json"},
		HTTPHeader:   http.Header{"Authorization": {"Bearer " + c.Token()}},
	})
	if err != nil {
		return nil, refused(answer, err)
	}
	socket.SetReadLimit(1 << 20) // the library's own limit is 32 KiB; the hub's frames are up to limits.frame_bytes
	var welcome Message
	if err := wsjson.Read(ctx, socket, &welcome); err != nil || welcome.Type != "hub.welcome" {
		socket.CloseNow()
		return nil, closed(err, nil)
	}
	c.resume = welcome.Resume
	if welcome.Reconnect != nil {
		c.bounds = *welcome.Reconnect
	}
	if welcome.Limits.FrameBytes > 0 {
		socket.SetReadLimit(welcome.Limits.FrameBytes + 1024)
	}
	return &link{socket, time.Now()}, nil
}

func (c *Client) subscribe(ctx context.Context, socket *websocket.Conn) error {
	command := map[string]any{"type": "subscribe", "id": 1, "channel": c.Channel}
	if c.position != nil && !c.paging {
		command["since"] = c.position
	}
	return wsjson.Write(ctx, socket, command)
}

type read struct {
	message Message
	end     *ending
}

// live reads one connection to its end, or, where the node departs, until the next one has taken over.
func (c *Client) live(ctx context.Context, current *link) (*link, ending) {
	messages := make(chan read)
	stop := make(chan struct{})
	defer close(stop)
	go pump(ctx, current.socket, messages, stop)
	var following chan *link
	for {
		select {
		case next := <-following:
			following = nil
			if c.takenOver(ctx, next) {
				current.socket.Close(websocket.StatusNormalClosure, "")
				return next, ending{}
			}
		case got := <-messages:
			if got.end != nil {
				if following != nil {
					if next := <-following; c.takenOver(ctx, next) {
						return next, ending{}
					}
				}
				return nil, *got.end
			}
			if got.message.Type == "hub.drain" && following == nil && got.message.Reconnect != nil {
				following = make(chan *link, 1)
				go c.follow(ctx, *got.message.Reconnect, following)
				continue
			}
			if err := c.take(ctx, current, got.message); err != nil {
				current.socket.CloseNow()
				return nil, ending{err: err}
			}
		}
	}
}

// follow opens the next connection inside the window, while the old one goes on.
func (c *Client) follow(ctx context.Context, window Window, following chan<- *link) {
	time.Sleep(window.pick())
	next, _ := c.dial(ctx)
	following <- next
}

// takenOver subscribes on the next connection where the old one stands now; what that still sends is not read.
func (c *Client) takenOver(ctx context.Context, next *link) bool {
	if next == nil {
		return false
	}
	if c.subscribe(ctx, next.socket) != nil {
		next.socket.CloseNow()
		return false
	}
	return true
}

func pump(ctx context.Context, socket *websocket.Conn, messages chan<- read, stop <-chan struct{}) {
	var window *Window
	for {
		var message Message
		kind, data, err := socket.Read(ctx)
		if err == nil && kind == websocket.MessageText {
			err = json.Unmarshal(data, &message)
		}
		got := read{message: message}
		if err != nil {
			got = read{end: closed(err, window)}
		} else if message.Type == "hub.close" {
			window = message.Reconnect
			continue
		} else if message.Type == "hub.gap" {
			// Its range stands beside the type; "from" of an event is a user.
			got.message.Gap = new(Gap)
			_ = json.Unmarshal(data, got.message.Gap)
		}
		select {
		case messages <- got:
		case <-stop:
			return
		}
		if err != nil {
			return
		}
	}
}

// take hands one message over and moves the position (sections 5 and 6).
func (c *Client) take(ctx context.Context, from *link, m Message) error {
	switch m.Type {
	case "hub.subscribed", "hub.resubscribe":
		if m.Type == "hub.resubscribe" && m.Gap == nil {
			if c.position != nil {
				c.position.Epoch = m.Epoch
			}
			return nil
		}
		if m.Epoch == "" { // an ephemeral channel has no position
			return nil
		}
		if m.Recovered && c.position != nil {
			c.position.Epoch = m.Epoch
			return nil
		}
		c.position = &Position{m.Epoch, m.Offset}
		if m.Gap != nil {
			c.Handler.Gap(*m.Gap)
		}
		c.pages, c.paging = m.Snapshot, m.More
		if m.Snapshot != nil && !m.More {
			c.Handler.Snapshot(m.Snapshot)
		}
	case "hub.snapshot":
		c.pages, c.paging = append(c.pages, m.Events...), m.More
		if !m.More {
			c.Handler.Snapshot(c.pages)
			c.pages = nil
		}
	case "hub.gap":
		if !m.Filled && c.position != nil {
			c.Handler.Gap(*m.Gap)
			c.position.Offset = m.Gap.To
		}
	case "hub.error":
		if !m.Retry {
			return errors.New(m.Reason)
		}
		time.Sleep(time.Duration(m.RetryMs) * time.Millisecond)
		return c.subscribe(ctx, from.socket)
	default:
		if len(m.Type) >= 4 && m.Type[:4] == "hub." {
			return nil // of a hub that knows more than this client
		}
		if m.Offset != 0 && c.position != nil {
			if m.Offset <= c.position.Offset {
				return nil // the other connection of a handover has delivered it
			}
			c.position.Offset = m.Offset
		}
		c.Handler.Event(m.Offset, m.Payload)
	}
	return nil
}

// refused is the meaning of an answer in place of the upgrade.
func refused(answer *http.Response, err error) *ending {
	if answer == nil {
		return &ending{err: err}
	}
	switch answer.StatusCode {
	case 400, 403:
		return &ending{stop: true, err: err}
	}
	seconds, _ := strconv.ParseInt(answer.Header.Get("Retry-After"), 10, 64)
	if seconds > 0 { // not before that, and spread over as long again
		return &ending{window: &Window{seconds * 1000, seconds * 2000}, err: err}
	}
	return &ending{err: err}
}

// closed is the meaning of a connection's end, by the range of its code; Token is called anew for each connection.
func closed(err error, window *Window) *ending {
	switch code := websocket.CloseStatus(err); {
	case code >= 4400 && code <= 4499, code == 1002, code == 1003, code == 1007, code == 1008, code == 1009:
		return &ending{stop: true, err: err}
	default:
		return &ending{window: window, err: err}
	}
}

// pause waits inside the window, else with full jitter.
func (c *Client) pause(ctx context.Context, window *Window) {
	delay := Window{0, min(c.bounds.MaxMs, c.bounds.MinMs<<min(c.attempts, 16))}.pick()
	c.attempts++
	if window != nil {
		delay = window.pick()
	}
	select {
	case <-time.After(delay):
	case <-ctx.Done():
	}
}
