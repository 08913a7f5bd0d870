// The peer of the benchmark: a webhook gateway as one would write it in Go. It verifies GitHub's signature and answers
// 202 after JetStream acknowledged: by one publish per request, or, with -batch, by the same group commit as ours.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	bodyMax   = 1 << 20
	batchMax  = 256
	groupFrom = 4
)

type pending struct {
	msg  *nats.Msg
	done chan error
}

func main() {
	address := flag.String("listen", "127.0.0.1:8080", "address")
	subject := flag.String("subject", "em.raw.github.push", "subject to publish to")
	batch := flag.Bool("batch", false, "share atomic batches")
	flag.Parse()
	secret := []byte(os.Getenv("GITHUB_WEBHOOK_SECRET"))
	connection, err := nats.Connect(os.Getenv("NATS_URL"))
	if err != nil {
		log.Fatal(err)
	}
	js, err := connection.JetStream()
	if err != nil {
		log.Fatal(err)
	}
	publish := func(msg *nats.Msg) error { _, err := js.PublishMsg(msg); return err }
	if *batch {
		publish = grouped(connection, publish)
	}
	http.HandleFunc("/webhooks/github", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyMax))
		if err != nil {
			http.Error(w, "too large", http.StatusRequestEntityTooLarge)
			return
		}
		mac := hmac.New(sha256.New, secret)
		mac.Write(body)
		given, _ := hex.DecodeString(trim(r.Header.Get("X-Hub-Signature-256")))
		if !hmac.Equal(mac.Sum(nil), given) {
			http.Error(w, "unauthorized", http.StatusUnauthorized)
			return
		}
		sum := sha256.Sum256(body)
		delivery := r.Header.Get("X-GitHub-Delivery")
		msg := nats.NewMsg(*subject)
		msg.Data = body
		msg.Header.Set("Nats-Msg-Id", "github:"+delivery+":"+hex.EncodeToString(sum[:8]))
		msg.Header.Set("Em-Source", "github")
		msg.Header.Set("Em-Event", r.Header.Get("X-GitHub-Event"))
		msg.Header.Set("Em-Delivery", delivery)
		msg.Header.Set("Em-Received", time.Now().UTC().Format(time.RFC3339Nano))
		msg.Header.Set("Em-Origin", "live")
		msg.Header.Set("Em-Sha256", hex.EncodeToString(sum[:]))
		if err := publish(msg); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprintf(w, `{"status":"accepted","delivery":%q}`, delivery)
	})
	log.Fatal(http.ListenAndServe(*address, nil))
}

func trim(signature string) string {
	if len(signature) > 7 && signature[:7] == "sha256=" {
		return signature[7:]
	}
	return ""
}

// grouped commits what waits together: one batch under way, whatever arrives meanwhile forms the next.
func grouped(connection *nats.Conn, single func(*nats.Msg) error) func(*nats.Msg) error {
	queue := make(chan pending, 4096)
	go func() {
		for first := range queue {
			waiting := []pending{first}
			for len(waiting) < batchMax && len(queue) > 0 {
				waiting = append(waiting, <-queue)
			}
			if len(waiting) < groupFrom || commit(connection, waiting) != nil {
				left := int32(len(waiting))
				ended := make(chan struct{})
				for _, each := range waiting {
					go func(each pending) {
						each.done <- single(each.msg)
						if atomic.AddInt32(&left, -1) == 0 {
							close(ended)
						}
					}(each)
				}
				<-ended
				continue
			}
			for _, each := range waiting {
				each.done <- nil
			}
		}
	}()
	return func(msg *nats.Msg) error {
		done := make(chan error, 1)
		queue <- pending{msg, done}
		return <-done
	}
}

func commit(connection *nats.Conn, waiting []pending) error {
	id := nats.NewInbox()[7:]
	for place, each := range waiting {
		msg := nats.NewMsg(each.msg.Subject)
		msg.Data = each.msg.Data
		for name, values := range each.msg.Header {
			msg.Header[name] = values
		}
		msg.Header.Set("Nats-Batch-Id", id)
		msg.Header.Set("Nats-Batch-Sequence", strconv.Itoa(place+1))
		if place < len(waiting)-1 {
			if err := connection.PublishMsg(msg); err != nil {
				return err
			}
			continue
		}
		msg.Header.Set("Nats-Batch-Commit", "1")
		answer, err := connection.RequestMsg(msg, 5*time.Second)
		if err != nil {
			return err
		}
		var ack struct {
			Error *struct {
				Description string `json:"description"`
			} `json:"error"`
		}
		if err := json.Unmarshal(answer.Data, &ack); err != nil {
			return err
		}
		if ack.Error != nil {
			return fmt.Errorf("batch: %s", ack.Error.Description)
		}
	}
	return nil
}
