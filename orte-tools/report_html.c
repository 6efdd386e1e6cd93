/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "orte-tools/report_html.h"

#include <time.h>

#include "orte-tools/tool_json.h"

void html_text(FILE *f, const char *text)
{
	const unsigned char *p = (const unsigned char *)(text ? text : "");

	while (*p) {
		int n = tool_utf8_length(p);

		if (n == 0 || (*p < 0x20 && *p != '\t' && *p != '\n') || *p == 0x7f) {
			fputs("&#xfffd;", f);
			n = n ? n : 1;
		} else if (*p == '&' || *p == '<' || *p == '>' || *p == '"' || *p == '\'') {
			fprintf(f, "&#%u;", *p);
		} else {
			fwrite(p, 1, (size_t)n, f);
		}
		p += n;
	}
}

void html_words(FILE *f, char *const *words)
{
	for (int i = 0; words && words[i]; i++) {
		if (i)
			putc(' ', f);
		html_text(f, words[i]);
	}
}

void html_bytes(FILE *f, double bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	int unit = 0;

	for (; bytes >= 1000 && unit < 5; unit++)
		bytes /= 1024;
	fprintf(f, unit ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
}

void html_duration(FILE *f, double ns)
{
	if (ns <= 0)
		putc('0', f);
	else if (ns < 1e6)
		fprintf(f, "%.0f &#181;s", ns / 1e3);
	else if (ns < 1e9)
		fprintf(f, "%.1f ms", ns / 1e6);
	else if (ns < 600e9)
		fprintf(f, "%.2f s", ns / 1e9);
	else
		fprintf(f, "%.0f min", ns / 60e9);
}

void html_time(FILE *f, uint64_t ns)
{
	time_t t = (time_t)(ns / 1000000000u);
	char text[64] = "unknown";
	struct tm tm;

	if (ns && localtime_r(&t, &tm))
		strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %z", &tm);
	fputs(text, f);
}

void html_head(FILE *f, const char *title)
{
	fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
	      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>",
	      f);
	html_text(f, title);
	fputs("</title>\n<style>\n"
	      ":root{--ink:#1c2430;--soft:#5b6776;--line:#d9dfe7;--card:#fff;--page:#f3f5f8;--cut:#b9c3d0;--wait:#e9edf2;--drain:#f0a020;--freeze:#d9483b;"
	      "--capture:#8a5bd6;--write:#3578c6;--run:#6fb98a;--bad:#c0271a}\n"
	      "*{box-sizing:border-box}body{margin:0;background:var(--page);color:var(--ink);font:14px/1.45 system-ui,'DejaVu Sans',sans-serif}\n"
	      "main{max-width:1180px;margin:0 auto;padding:24px}h1{font-size:22px;margin:0 0 2px;overflow-wrap:anywhere}h2{font-size:15px;margin:0 0 10px}\n"
	      ".sub{color:var(--soft);margin:0 0 18px;overflow-wrap:anywhere}.card{background:var(--card);border:1px solid var(--line);border-radius:8px;"
	      "padding:16px;margin:0 0 16px;overflow-x:auto}\n"
	      ".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(130px,1fr));gap:12px;margin:0 0 16px}.tile{background:var(--card);border:1px solid "
	      "var(--line);border-radius:8px;padding:12px 14px}.tile b{display:block;font-size:20px;font-weight:600}.tile span{color:var(--soft);font-size:12px}\n"
	      "table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}th{text-align:left;color:var(--soft);font-weight:500;font-size:12px}\n"
	      "th,td{padding:4px 10px 4px 0;border-bottom:1px solid var(--line);vertical-align:top}td.n,th.n{text-align:right}td.late{color:var(--bad);font-weight:600}\n"
	      ".bar{display:inline-block;height:8px;background:var(--write);border-radius:2px;margin-right:6px;vertical-align:middle}\n"
	      "dl{display:grid;grid-template-columns:140px 1fr;gap:4px 12px;margin:0}dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}\n"
	      "code,pre{font:12.5px/1.45 ui-monospace,'DejaVu Sans Mono',monospace;white-space:pre-wrap;overflow-wrap:anywhere;margin:0}\n"
	      ".legend{display:flex;flex-wrap:wrap;gap:4px 16px;color:var(--soft);font-size:12px;margin:0 0 8px}.legend i{display:inline-block;width:12px;"
	      "height:10px;border-radius:2px;margin-right:5px}\n"
	      "svg{display:block;width:100%;height:auto}svg text{font:11px system-ui,'DejaVu Sans',sans-serif;fill:var(--soft)}svg text.r{fill:var(--ink)}\n"
	      ".chain{display:flex;flex-wrap:wrap;align-items:center;gap:8px}.chain div{border:1px solid var(--line);border-radius:6px;padding:8px 12px}"
	      ".chain .now{border-color:var(--write);background:#eef4fb}.chain small{color:var(--soft);display:block}\n"
	      "footer{color:var(--soft);font-size:12px}@media print{body{background:#fff}.card,.tile{break-inside:avoid}}\n"
	      "</style>\n</head>\n<body>\n<main>\n",
	      f);
}
