// A reverse proxy as Go programs have one: net/http/httputil's, with its defaults.
// usage: reverse_proxy HUB_URL; prints the port that it listens on.
package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
)

func main() {
	target, err := url.Parse(os.Args[1])
	if err != nil {
		panic(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	panic(http.Serve(listener, httputil.NewSingleHostReverseProxy(target)))
}
