// The numbers of cAdvisor: its own program lies in a module that no proxy has, but its library can be had.
//
//	cadvisor -docker unix:///SOCKET ADDRESS
package main

import (
	"flag"
	"log"
	"net/http"
	"time"

	"github.com/google/cadvisor/cache/memory"
	"github.com/google/cadvisor/container"
	_ "github.com/google/cadvisor/container/docker/install"
	v2 "github.com/google/cadvisor/info/v2"
	"github.com/google/cadvisor/manager"
	"github.com/google/cadvisor/metrics"
	"github.com/google/cadvisor/utils/sysfs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/utils/clock"
)

func main() {
	flag.Parse()
	interval, dynamic := time.Second, true
	housekeeping := manager.HousekeepingConfig{Interval: &interval, AllowDynamic: &dynamic}
	// Not every machine counts what its processor does.
	wanted := container.AllMetrics.Difference(container.MetricSet{container.PerfMetrics: {}, container.ResctrlMetrics: {}})
	watching, err := manager.New(memory.New(2*time.Minute, nil), sysfs.NewRealSysFs(), housekeeping, wanted, http.DefaultClient, nil, nil, "", 0)
	if err != nil {
		log.Fatal(err)
	}
	if err := watching.Start(); err != nil {
		log.Fatal(err)
	}
	options := v2.RequestOptions{IdType: v2.TypeName, Count: 1, Recursive: true}
	numbers := prometheus.NewRegistry()
	numbers.MustRegister(metrics.NewPrometheusCollector(watching, metrics.DefaultContainerLabels, wanted, clock.RealClock{}, options))
	log.Fatal(http.ListenAndServe(flag.Arg(0), promhttp.HandlerFor(numbers, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})))
}
