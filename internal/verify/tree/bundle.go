package tree

import (
	"encoding/binary"
	"fmt"
)

// Bundle splits a file of entries into width of them, which are parts of it. It appends them to room. It returns an error if the file has more or less,
// but for a full file in the place of a partial one, whose first entries count when full is set.
func Bundle(room [][]byte, file []byte, width int, full bool) ([][]byte, error) {
	for n := range width {
		if len(file) < 2 || len(file)-2 < int(binary.BigEndian.Uint16(file)) {
			return room, fmt.Errorf("the file ends within entry %d of %d", n, width)
		}
		end := 2 + int(binary.BigEndian.Uint16(file))
		room = append(room, file[2:end:end])
		file = file[end:]
	}
	if len(file) > 0 && !full {
		return room, fmt.Errorf("%d bytes follow the last of %d entries", len(file), width)
	}
	return room, nil
}
