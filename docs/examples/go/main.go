package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
)

// Prints what comes, a line of JSON each: HUB_URL=ws://… HUB_TOKEN=… HUB_CHANNEL=job:42 go run .
func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	say := func(name string, value any) {
		line, _ := json.Marshal(map[string]any{name: value})
		fmt.Println(string(line))
	}
	client := Client{
		URL:     os.Getenv("HUB_URL"),
		Channel: os.Getenv("HUB_CHANNEL"),
		Token:   func() string { return os.Getenv("HUB_TOKEN") },
		Handler: Handler{
			Event: func(offset int64, payload json.RawMessage) {
				say("event", map[string]any{"offset": offset, "payload": payload})
			},
			Snapshot: func(events []Message) {
				payloads := make([]json.RawMessage, len(events))
				for i, event := range events {
					payloads[i] = event.Payload
				}
				say("snapshot", payloads)
			},
			Gap: func(gap Gap) { say("gap", gap) },
		},
	}
	if err := client.Run(ctx); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "stopped:", err)
		os.Exit(1)
	}
}
