package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/id"
)

// workload says which transfers are sent, and how.
type workload struct {
	hot bool
	// mint sends mints against the pledges of the rig instead of transfers.
	mint bool
	// batch is how many transfers a request has; 1 is the single endpoint.
	batch       int
	connections int
}

// client is one connection that sends prepared bytes and looks only at the status: the load must not cost what it measures.
type client struct {
	conn  net.Conn
	in    *bufio.Reader
	head  []byte
	body  []byte
	out   []byte
	run   string
	sent  int
	names []string
	// pledges are those that mints are made against.
	pledges []string
	random  *mathrand.Rand
	work    workload
}

func (r *rig) dial(ctx context.Context, w workload, names []string) (*client, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", r.addr)
	if err != nil {
		return nil, err
	}
	run := make([]byte, 8)
	_, _ = rand.Read(run) // It never fails.
	path, key := "/v1/transfers", r.key
	if w.batch > 1 {
		path = "/v1/transfers/batch"
	}
	if w.mint {
		path, key = "/v1/mints", r.operatorKey
	}
	return &client{
		conn: conn, pledges: r.pledges, in: bufio.NewReaderSize(conn, 64<<10), run: hex.EncodeToString(run), names: names, work: w,
		random: mathrand.New(mathrand.NewPCG(mathrand.Uint64(), 1)), //nolint:gosec // which account pays is no secret
		head:   []byte("POST " + path + " HTTP/1.1\r\nHost: " + r.addr + "\r\nAuthorization: Bearer " + key + "\r\nContent-Type: application/json\r\n"),
	}, nil
}

func accountNames(accounts []uuid.UUID) []string {
	names := make([]string, len(accounts))
	for i, a := range accounts {
		names[i] = id.Format(id.Account, a)
	}
	return names
}

// pick draws who pays and who is paid, as the yardstick does.
func (c *client) pick() (from, to string) {
	n := len(c.names)
	if c.work.hot {
		return c.names[1+c.random.IntN(n-1)], c.names[0]
	}
	return c.names[c.random.IntN(n/2)], c.names[n/2+c.random.IntN(n-n/2)]
}

func (c *client) transfer(key bool) {
	from, to := c.pick()
	c.body = append(c.body, '{')
	if key {
		c.body = append(append(append(append(append(c.body, `"idempotency_key":"`...), c.run...), '-'), strconv.Itoa(c.sent)...), `",`...)
		c.sent++
	}
	c.body = append(append(append(append(c.body, `"from_account":"`...), from...), `","to_account":"`...), to...)
	c.body = append(c.body, `","amount":"0.000001"}`...)
}

func (c *client) mint() {
	pledge, account := c.pledges[c.random.IntN(len(c.pledges))], c.names[c.random.IntN(len(c.names))]
	c.body = append(append(append(append(c.body, `{"pledge_id":"`...), pledge...), `","account_id":"`...), account...)
	c.body = append(c.body, `","amount":"0.000001"}`...)
}

// request makes the next request's bytes.
func (c *client) request() []byte {
	c.out = append(c.out[:0], c.head...)
	c.body = c.body[:0]
	if c.work.batch == 1 {
		c.out = append(append(append(append(append(c.out, "Idempotency-Key: "...), c.run...), '-'), strconv.Itoa(c.sent)...), "\r\n"...)
		c.sent++
		if c.work.mint {
			c.mint()
		} else {
			c.transfer(false)
		}
	} else {
		c.body = append(c.body, `{"mode":"independent","transfers":[`...)
		for i := range c.work.batch {
			if i > 0 {
				c.body = append(c.body, ',')
			}
			c.transfer(true)
		}
		c.body = append(c.body, `]}`...)
	}
	c.out = append(append(append(c.out, "Content-Length: "...), strconv.Itoa(len(c.body))...), "\r\n\r\n"...)
	return append(c.out, c.body...)
}

// once sends one request and reads its answer. It returns the transfers made.
func (c *client) once() (int, error) {
	if _, err := c.conn.Write(c.request()); err != nil {
		return 0, err
	}
	status, body, err := c.answer()
	if err != nil {
		return 0, err
	}
	if c.work.batch == 1 && status == 201 {
		return 1, nil
	}
	if c.work.batch > 1 && status == 200 {
		return bytes.Count(body, []byte(`"status":201`)), nil
	}
	return 0, fmt.Errorf("answered %d: %s", status, body)
}

func (c *client) answer() (status int, body []byte, err error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return 0, nil, err
	}
	if len(line) < 12 {
		return 0, nil, errors.New("no status line")
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, nil, err
	}
	length, chunked := 0, false
	for {
		if line, err = c.in.ReadSlice('\n'); err != nil {
			return 0, nil, err
		}
		if len(line) <= 2 {
			break
		}
		if v, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(v))); err != nil {
				return 0, nil, err
			}
		}
		chunked = chunked || bytes.HasPrefix(line, []byte("Transfer-Encoding: chunked"))
	}
	if chunked {
		body, err = c.chunks()
		return status, body, err
	}
	body = make([]byte, length)
	_, err = io.ReadFull(c.in, body)
	return status, body, err
}

func (c *client) chunks() ([]byte, error) {
	var body []byte
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		n, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 16, 32)
		if err != nil {
			return nil, err
		}
		chunk := make([]byte, n+2)
		if _, err := io.ReadFull(c.in, chunk); err != nil {
			return nil, err
		}
		if n == 0 {
			return body, nil
		}
		body = append(body, chunk[:n]...)
	}
}

// closedLoop keeps every connection busy and returns the transfers a second.
func (r *rig) closedLoop(ctx context.Context, w workload) (float64, error) {
	clients, err := r.dialAll(ctx, w)
	if err != nil {
		return 0, err
	}
	var made atomic.Int64
	var failed atomic.Pointer[error]
	began := time.Now()
	until := began.Add(time.Duration(r.opts.Seconds) * time.Second)
	var wg sync.WaitGroup
	for _, c := range clients {
		wg.Go(func() {
			defer c.conn.Close() //nolint:errcheck // it is thrown away
			for time.Now().Before(until) && ctx.Err() == nil {
				n, err := c.once()
				if err != nil {
					failed.Store(&err)
					return
				}
				made.Add(int64(n))
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return float64(made.Load()) / time.Since(began).Seconds(), nil
}

func (r *rig) dialAll(ctx context.Context, w workload) ([]*client, error) {
	names := accountNames(r.accounts)
	clients := make([]*client, w.connections)
	for i := range clients {
		var err error
		if clients[i], err = r.dial(ctx, w, names); err != nil {
			return nil, err
		}
	}
	return clients, nil
}
