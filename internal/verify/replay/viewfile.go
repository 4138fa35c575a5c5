package replay

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/ballast-compute/ballast/internal/verify/entry"
	"github.com/ballast-compute/ballast/internal/verify/fault"
)

// The bounds of a view file. A line has about 240 bytes.
const (
	maxViewLine     = 1 << 10
	maxViewAccounts = 1 << 28
)

// ReadView reads an auditor's view, line by line. It returns a [*fault.Fault] with the number of the first line that is not as it should be.
func ReadView(r io.Reader) (*View, error) {
	lines := bufio.NewReaderSize(r, 64<<10)
	v := &View{next: map[[32]byte]uint32{}}
	for n := 1; ; n++ {
		line, err := lines.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF) && len(line) == 0 && n > 1:
			if v.size == 0 {
				v.compared = true
			}
			return v, nil
		case err != nil || len(line) > maxViewLine:
			return nil, badView(n, "it does not end, or is too long")
		case len(v.accounts) == maxViewAccounts:
			return nil, badView(n, "too many accounts")
		}
		line = line[:len(line)-1]
		if n == 1 {
			err = v.readHead(line)
		} else {
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

func (v *View) readHead(line []byte) error {
	head, err := entry.ParseViewHead(line)
	if err != nil {
		return err
	}
	v.origin, v.size = string(head.Origin), uint64(head.Size) //nolint:gosec // the parser refuses less than 0
	return nil
}

func (v *View) readAccount(line []byte) error {
	said, err := entry.ParseViewAccount(line)
	if err != nil {
		return err
	}
	asset, ok := assetOf(said.Asset)
	if !ok {
		return errors.New("no private account has this asset")
	}
	if n := len(v.accounts); n > 0 && bytes.Compare(v.accounts[n-1].id[:], said.Account[:]) >= 0 {
		return errors.New("accounts are not in the order of their ids, each once")
	}
	v.accounts = append(v.accounts, privateAccount{
		key: said.Key, id: said.Account, asset: asset, kind: AccountKind(said.Kind), saidBalance: said.Balance, saidVersion: said.Version,
	})
	v.expect(uint32(len(v.accounts) - 1)) //nolint:gosec // bounded above
	return nil
}
