package replay

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"strconv"

	"github.com/go-json-experiment/json"

	"github.com/ballast-compute/ballast/internal/verify/entry"
	"github.com/ballast-compute/ballast/internal/verify/fault"
)

// The bounds of a view file. A line has about 240 bytes.
const (
	maxViewLine     = 1 << 10
	maxViewAccounts = 1 << 28
)

// ReadView reads an auditor's view, line by line, to its last one, which says how many accounts there are: a view that was cut off would look like one of
// erased holders. It returns a [*fault.Fault] with the number of the first line that is not as it should be.
func ReadView(r io.Reader) (*View, error) {
	lines := bufio.NewReaderSize(r, 64<<10)
	v := &View{next: map[[32]byte]uint32{}}
	for n := 1; ; n++ {
		line, err := lines.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF) && len(line) == 0 && v.ended:
			if v.size == 0 {
				v.compared = true
			}
			return v, nil
		case errors.Is(err, io.EOF) && len(line) == 0:
			return nil, badView(n, "the view is cut off")
		case v.ended:
			return nil, badView(n, "the view has ended before")
		case err != nil || len(line) > maxViewLine:
			return nil, badView(n, "it does not end, or is too long")
		case len(v.accounts) == maxViewAccounts:
			return nil, badView(n, "too many accounts")
		}
		line = line[:len(line)-1]
		switch {
		case n == 1:
			err = v.readHead(line)
		case bytes.HasPrefix(line, []byte(`{"accounts":`)):
			err = v.readEnd(line)
		default:
			err = v.readAccount(line)
		}
		if err != nil {
			return nil, badView(n, err.Error())
		}
	}
}

func badView(line int, reason string) error {
	return fault.New(fault.Incomplete, "view", "line %d of the view: %s", line, reason)
}

// viewHead is the first line, viewEnd the last, and viewAccount each other. Their members may come in any order.
type viewHead struct {
	V      string `json:"v"`
	Type   string `json:"type"`
	Origin string `json:"origin"`
	Size   string `json:"size"`
}

type viewEnd struct {
	Accounts string `json:"accounts"`
	Type     string `json:"type"`
	V        string `json:"v"`
}

type viewAccount struct {
	Account string `json:"account"`
	Asset   string `json:"asset"`
	Balance string `json:"balance"`
	Key     string `json:"key"`
	Kind    string `json:"kind"`
	Version string `json:"version"`
}

func (v *View) readHead(line []byte) error {
	var head viewHead
	if err := json.Unmarshal(line, &head, json.RejectUnknownMembers(true)); err != nil {
		return err
	}
	size, err := strconv.ParseUint(head.Size, 10, 63)
	if err != nil || head.V != "1" || head.Type != "view" {
		return errors.New("it is not the first line of a view of version 1")
	}
	v.origin, v.size = head.Origin, size
	return nil
}

func (v *View) readEnd(line []byte) error {
	var end viewEnd
	if err := json.Unmarshal(line, &end, json.RejectUnknownMembers(true)); err != nil {
		return err
	}
	if end.V != "1" || end.Type != "end" || end.Accounts != strconv.Itoa(len(v.accounts)) {
		return errors.New("it is not the last line of a view of so many accounts")
	}
	v.ended = true
	return nil
}

func (v *View) readAccount(line []byte) error {
	var said viewAccount
	if err := json.Unmarshal(line, &said, json.RejectUnknownMembers(true)); err != nil {
		return err
	}
	a := privateAccount{}
	var ok, known bool
	var err error
	if a.id, ok = entry.ParseID("acct", said.Account); !ok {
		return errors.New("it is not of an account")
	}
	if a.asset, known = assetOf(said.Asset); !known {
		return errors.New("no private account has this asset")
	}
	if a.kind, ok = kindsOfAccounts[said.Kind]; !ok {
		return errors.New("no private account is of this kind")
	}
	if a.saidBalance, err = strconv.ParseInt(said.Balance, 10, 64); err != nil {
		return errors.New("its balance is not a whole number")
	}
	if a.saidVersion, err = strconv.ParseInt(said.Version, 10, 64); err != nil {
		return errors.New("its version is not a whole number")
	}
	key, err := base64.StdEncoding.Strict().DecodeString(said.Key)
	if err != nil || copy(a.key[:], key) != len(a.key) || len(key) != len(a.key) {
		return errors.New("its key is not 32 bytes in base64")
	}
	if n := len(v.accounts); n > 0 && bytes.Compare(v.accounts[n-1].id[:], a.id[:]) >= 0 {
		return errors.New("accounts are not in the order of their ids, each once")
	}
	v.accounts = append(v.accounts, a)
	v.expect(uint32(len(v.accounts) - 1)) //nolint:gosec // bounded above
	return nil
}

var kindsOfAccounts = map[string]AccountKind{"holder": Holder, "hold": HoldAccount, "escrow": Escrow}
