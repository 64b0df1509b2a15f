package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metricsql"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

// family is what a metric is: its type and the labels that its series have.
type family struct {
	kind   dto.MetricType
	labels map[string]bool
}

// scrape returns the metrics of a service as Prometheus sees them, by the names of
// their series.
func scrape(t *testing.T, p *process) map[string]family {
	t.Helper()
	response, err := http.Get(p.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	parsed, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	series := map[string]family{"up": {dto.MetricType_GAUGE, map[string]bool{}}} // Prometheus adds it
	for name, f := range parsed {
		labels := map[string]bool{}
		for _, m := range f.Metric {
			for _, l := range m.Label {
				labels[l.GetName()] = true
			}
		}
		if f.GetType() != dto.MetricType_HISTOGRAM {
			series[name] = family{f.GetType(), labels}
			continue
		}
		series[name+"_sum"], series[name+"_count"] = family{dto.MetricType_COUNTER, labels}, family{dto.MetricType_COUNTER, labels}
		buckets := maps.Clone(labels)
		buckets["le"] = true
		series[name+"_bucket"] = family{dto.MetricType_COUNTER, buckets}
	}
	return series
}

// observed runs a service that has seen a bit of everything, and returns its metrics.
func observed(t *testing.T) map[string]family {
	t.Helper()
	s, data := simulate(t), filepath.Join(t.TempDir(), "data")
	first := start(t, s.flags("--data", data)...)
	c, l := login(t, first)
	image := register(t, c, l.IngestionKey, nil)
	checkBoots(t, l, image, s)
	asked := scrape(t, first) // AMD's KDS
	first.stop(t)
	p := start(t, s.flags("--data", data)...) // it looks at the lists that the first one got
	l.URL = p.url
	checkBoots(t, l, image, s)
	used := image.launch(t, s.host)
	for range 2 {
		c, err := l.Client()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := boot(t.Context(), c, used, l.IdentityKey); err != nil {
			t.Fatal(err)
		}
		used.Report.GuestSVN++ // denied then
		if _, err := boot(t.Context(), c, used, l.IdentityKey); err == nil {
			t.Fatal("a launch that differs was granted")
		}
		used = image.launch(t, s.host)
	}
	for { // what is watched comes after a moment
		series := scrape(t, p)
		_, lists := series["snpguard_crl_next_update_timestamp_seconds"]
		if _, chain := series["snpguard_audit_chain_valid"]; lists && chain {
			maps.Copy(asked, series)
			return asked
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// added are the labels that Prometheus adds to what it scrapes.
func added(label string) bool { return label == "job" || label == "instance" }

// check checks one expression: every metric exists with the labels that are asked
// for, and counters alone have rates.
func check(expression string, series map[string]family) error {
	// Grafana puts a number of seconds and a name in their places.
	expression = strings.NewReplacer("$__rate_interval", "1m", "$job", "snpguard").Replace(expression)
	parsed, err := metricsql.Parse(expression)
	if err != nil {
		return err
	}
	v := visitor{series: series, labels: map[string]bool{}}
	metricsql.VisitAll(parsed, v.metric)
	metricsql.VisitAll(parsed, v.rate)
	metricsql.VisitAll(parsed, v.grouping)
	if len(v.labels) == 0 && v.metrics == 0 {
		v.faults = append(v.faults, "it asks for no metric")
	}
	if len(v.faults) > 0 {
		return fmt.Errorf("%s: %s", expression, strings.Join(v.faults, "; "))
	}
	return nil
}

// visitor gathers what is wrong with an expression.
type visitor struct {
	series  map[string]family
	labels  map[string]bool // of all metrics in the expression
	metrics int
	faults  []string
}

// find returns the metric of a selector.
func (v *visitor) find(e *metricsql.MetricExpr) (family, bool) {
	for _, set := range e.LabelFilterss {
		for _, filter := range set {
			if filter.Label == "__name__" {
				f, ok := v.series[filter.Value]
				return f, ok
			}
		}
	}
	return family{}, false
}

func (v *visitor) metric(e metricsql.Expr) {
	selector, ok := e.(*metricsql.MetricExpr)
	if !ok {
		return
	}
	v.metrics++
	f, found := v.find(selector)
	if !found {
		v.faults = append(v.faults, "no metric for "+string(selector.AppendString(nil)))
		return
	}
	maps.Copy(v.labels, f.labels)
	for _, set := range selector.LabelFilterss {
		for _, filter := range set {
			if filter.Label != "__name__" && !added(filter.Label) && !f.labels[filter.Label] {
				v.faults = append(v.faults, fmt.Sprintf("no label %s in %s", filter.Label, selector.AppendString(nil)))
			}
		}
	}
}

// rate wants rates of counters, and counters by their rates.
func (v *visitor) rate(e metricsql.Expr) {
	call, ok := e.(*metricsql.FuncExpr)
	if !ok || !slices.Contains([]string{"rate", "increase", "irate"}, strings.ToLower(call.Name)) {
		return
	}
	rollup, ok := call.Args[0].(*metricsql.RollupExpr)
	if !ok {
		v.faults = append(v.faults, "a rate without a range")
		return
	}
	selector, ok := rollup.Expr.(*metricsql.MetricExpr)
	if f, found := v.find(selector); !ok || found && f.kind != dto.MetricType_COUNTER {
		v.faults = append(v.faults, "the rate of what is no counter")
	}
}

func (v *visitor) grouping(e metricsql.Expr) {
	aggregate, ok := e.(*metricsql.AggrFuncExpr)
	if !ok {
		return
	}
	for _, label := range aggregate.Modifier.Args {
		if !added(label) && !v.labels[label] {
			v.faults = append(v.faults, "no metric has the label "+label)
		}
	}
}

// alertExpressions returns the expressions of the alerts, by name.
func alertExpressions(t *testing.T) map[string]string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "deploy", "prometheus", "alerts.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr         string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			if rule.Alert == "" || all[rule.Alert] != "" || rule.Labels["severity"] == "" || rule.Annotations["summary"] == "" {
				t.Errorf("rule %+v", rule)
			}
			all[rule.Alert] = rule.Expr
		}
	}
	return all
}

// panelExpressions returns the expressions of the dashboard, by panel.
func panelExpressions(t *testing.T) map[string]string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "deploy", "grafana", "snpguard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ RefID, Expr string }
		}
	}
	if err := json.Unmarshal(data, &dashboard); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, panel := range dashboard.Panels {
		if len(panel.Targets) == 0 {
			t.Errorf("panel %q shows nothing", panel.Title)
		}
		for _, target := range panel.Targets {
			all[panel.Title+" "+target.RefID] = target.Expr
		}
	}
	return all
}

// TestMonitoring holds what deploy/ has for Prometheus and Grafana against the
// metrics of a real service.
func TestMonitoring(t *testing.T) {
	series := observed(t)
	alerts, panels := alertExpressions(t), panelExpressions(t)
	if len(alerts) < 15 || len(panels) < 20 {
		t.Errorf("%d alerts, %d panels", len(alerts), len(panels))
	}
	for _, expressions := range []map[string]string{alerts, panels} {
		for name, expression := range expressions {
			if err := check(expression, series); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	documented, err := os.ReadFile(filepath.Join("..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	for name := range alerts {
		if !strings.Contains(string(documented), "`"+name+"`") {
			t.Errorf("docs/operations.md says nothing of %s", name)
		}
	}
	for name := range series {
		base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_sum"), "_count")
		if strings.HasPrefix(name, "snpguard_") && !strings.Contains(string(documented), "`"+base) {
			t.Errorf("docs/operations.md says nothing of %s", base)
		}
	}
	checkTheCheck(t, series)
}

// checkTheCheck wants mistakes to be found.
func checkTheCheck(t *testing.T, series map[string]family) {
	t.Helper()
	for _, expression := range []string{
		`snpguard_unlock_total`, `snpguard_unlocks_total{result="denied"}`, `sum by (result) (rate(snpguard_unlocks_total[5m]))`,
		`rate(snpguard_database_up[5m])`, `snpguard_unlock_seconds`, `snpguard_unlock_seconds_sum{le="1"}`, `sum(`, `time() - 5`,
	} {
		if check(expression, series) == nil {
			t.Errorf("%s passes", expression)
		}
	}
	if err := check(`sum by (instance, le) (rate(snpguard_unlock_seconds_bucket{job="$job"}[$__rate_interval])) > 1`, series); err != nil {
		t.Error(err)
	}
}
