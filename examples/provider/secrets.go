package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// secretsFile has the secrets that Ballast has shown, newest first, where nobody else may read them.
const secretsFile = "secrets.json"

func readSecrets(dir string) ([]string, error) {
	text, err := os.ReadFile(filepath.Join(dir, secretsFile)) //nolint:gosec // The operator names the directory.
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var secrets []string
	return secrets, json.Unmarshal(text, &secrets)
}

// keepSecret puts a new secret before the others, and returns all.
func keepSecret(dir, secret string) ([]string, error) {
	secrets, err := readSecrets(dir)
	if err != nil || secret == "" || slices.Contains(secrets, secret) {
		return secrets, err
	}
	secrets = append([]string{secret}, secrets...)
	text, err := json.Marshal(secrets)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, secretsFile)
	if err := writeSynced(path+".new", text); err != nil {
		return nil, err
	}
	return secrets, os.Rename(path+".new", path)
}

// writeSynced writes a file that is on disk when it returns, so that what is renamed is never an empty one.
func writeSynced(path string, text []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) //nolint:gosec // The operator names the directory.
	if err != nil {
		return err
	}
	if _, err := file.Write(text); err != nil {
		return errors.Join(err, file.Close())
	}
	return errors.Join(file.Sync(), file.Close())
}
