package witness

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"
)

// The bounds of the server.
const (
	// maxBusy is how many checkpoints are judged at once. Others are told to come back.
	maxBusy = 64
	// patience bounds the wait for a log that others have locked, and the work itself.
	patience = 10 * time.Second

	readHeader, readAll, writeAll, idle = 5 * time.Second, 15 * time.Second, 15 * time.Second, 2 * time.Minute
	maxHeaderBytes                      = 16 << 10
	// goodbye is what requests that run are given when the server stops.
	goodbye = 5 * time.Second
)

// sizeMediaType is that of the answer to a proof from another size.
const sizeMediaType = "text/x.tlog.size"

// Handler offers POST /add-checkpoint, and GET /<hex SHA-256 of an origin>/checkpoint for monitors, as tlog-witness has them.
func (w *Witness) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /add-checkpoint", w.addCheckpoint)
	mux.HandleFunc("GET /{origin}/checkpoint", w.getCheckpoint)
	return mux
}

// Serve serves [Witness.Handler] until the context ends, with bounds on time and size of whatever comes. It returns nil when it was told to end.
func (w *Witness) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler: w.Handler(), ReadHeaderTimeout: readHeader, ReadTimeout: readAll, WriteTimeout: writeAll, IdleTimeout: idle,
		MaxHeaderBytes: maxHeaderBytes, ErrorLog: slog.NewLogLogger(w.logger.Handler(), slog.LevelDebug),
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer cancel()
	err := server.Shutdown(stop)
	if serveErr := <-done; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	return err
}

func (w *Witness) addCheckpoint(rw http.ResponseWriter, r *http.Request) {
	select {
	case w.busy <- struct{}{}:
		defer func() { <-w.busy }()
	default:
		rw.Header().Set("Retry-After", "1")
		http.Error(rw, "busy", http.StatusServiceUnavailable)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, MaxRequestBytes))
	if err != nil {
		w.refuse(rw, r, err)
		return
	}
	request, err := ParseRequest(body)
	if err != nil {
		w.refuse(rw, r, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	lines, err := w.AddCheckpoint(ctx, request)
	if err != nil {
		w.refuse(rw, r, err)
		return
	}
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = rw.Write(lines) // An asker that has gone asks again.
}

// refuse is the one table of errors and statuses.
func (w *Witness) refuse(rw http.ResponseWriter, r *http.Request, err error) {
	var conflict *ConflictError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &conflict):
		rw.Header().Set("Content-Type", sizeMediaType)
		rw.WriteHeader(http.StatusConflict)
		_, _ = io.WriteString(rw, strconv.FormatUint(conflict.Size, 10)+"\n")
	case errors.Is(err, ErrState): // Before the others, which may be its reason.
		w.fail(rw, r, err)
	case errors.As(err, &tooLarge):
		http.Error(rw, "too large", http.StatusRequestEntityTooLarge)
	case errors.Is(err, ErrMalformed):
		http.Error(rw, err.Error(), http.StatusBadRequest)
	case errors.Is(err, ErrUnknownLog):
		http.Error(rw, err.Error(), http.StatusNotFound)
	case errors.Is(err, ErrUnsigned):
		http.Error(rw, err.Error(), http.StatusForbidden)
	case errors.Is(err, ErrInconsistent):
		http.Error(rw, err.Error(), http.StatusUnprocessableEntity)
	default:
		w.fail(rw, r, err)
	}
}

func (w *Witness) fail(rw http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() == nil {
		w.logger.Error("a request failed", "method", r.Method, "error", err)
	}
	http.Error(rw, "the witness cannot do its work", http.StatusInternalServerError)
}

func (w *Witness) getCheckpoint(rw http.ResponseWriter, r *http.Request) {
	for origin := range w.logs {
		if idOf(origin) != r.PathValue("origin") {
			continue
		}
		signed, err := w.Checkpoint(origin)
		if err != nil {
			w.refuse(rw, r, err)
			return
		}
		rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
		rw.Header().Set("Cache-Control", "no-cache")
		_, _ = rw.Write(signed)
		return
	}
	w.refuse(rw, r, ErrUnknownLog)
}
