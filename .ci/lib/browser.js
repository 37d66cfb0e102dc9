// The pages in Chromium. Prints a line for each check: `ok    WHAT` or `FAIL  WHAT: WHY`.
//
// browser.js URL FOLDER      FOLDER takes the pictures
"use strict";
const assert = require("node:assert/strict");
const path = require("node:path");
const fs = require("node:fs");
const { chromium } = require("playwright-core");
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const [url, folder] = process.argv.slice(2);
const app = "/ui/repositories/team/web/app";
let failed = 0;

async function check(what, run) {
  try {
    await run();
    console.log(`ok    ${what}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL  ${what}: ${String(error.stack ?? error).split("\n").slice(0, 6).join("\n      | ")}`);
  }
}

(async () => {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-background-networking"],
  });
  const foreign = [], complaints = [];

  // A reader of their own, whose requests to elsewhere and whose complaints are noted.
  async function reader(user, options = {}) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, baseURL: url, ...options });
    const page = await context.newPage();
    page.setDefaultTimeout(10_000);
    page.on("request", (request) => { if (!request.url().startsWith(`${url}/`)) foreign.push(request.url()); });
    // A page that is none, or not one's own, is told of in the console as well; that is no fault of a page.
    page.on("console", (message) => {
      if (message.type() === "error" && !/status of 40[34]/.test(message.text())) complaints.push(message.text());
    });
    page.on("pageerror", (error) => complaints.push(error.message));
    if (user) await logIn(page, user);
    return page;
  }

  async function logIn(page, user, password = `secret-of-${user}`) {
    await page.goto("/ui/login");
    await page.getByLabel("User").fill(user);
    await page.getByLabel("Password").fill(password);
    await page.getByRole("button", { name: "Log in" }).click();
  }

  // The whole page, and what of it is seen at first.
  const shoot = async (page, name) => {
    await page.screenshot({ path: path.join(folder, `${name}.png`), fullPage: true });
    await page.screenshot({ path: path.join(folder, `${name}.first.png`) });
  };
  const heading = (page) => page.getByRole("heading", { level: 1 }).innerText();
  const isHacked = (page) => page.evaluate(() => window.hacked);

  async function accessible(page) {
    // The policy of the pages forbids scripts of others, and that is what axe is: it comes by the debugger.
    await page.evaluate(axe);
    const found = await page.evaluate(() => window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"] }));
    const bad = found.violations.filter((violation) => ["serious", "critical"].includes(violation.impact));
    assert.deepEqual(bad.map((violation) => [violation.id, violation.nodes.map((node) => node.html).slice(0, 3)]), []);
  }

  await check("the root leads a browser to the pages", async () => {
    const page = await reader();
    await page.goto("/");
    assert.equal(new URL(page.url()).pathname, "/ui/");
    assert.equal(await heading(page), "Repositories");
    assert.equal(await page.getByText("team/").count(), 0);
    await page.getByRole("link", { name: "public/hello" }).click();
    assert.equal(await heading(page), "public/hello");
    assert.equal(await page.getByRole("button", { name: /Delete/ }).count(), 0);
    await page.context().close();
  });

  await check("nobody sees what only a login shows, and comes there after it", async () => {
    const page = await reader();
    await page.goto(`${app}?sort=newest`);
    assert.equal(new URL(page.url()).pathname, "/ui/login");
    await shoot(page, "login");
    await page.getByLabel("User").fill("reader");
    await page.getByLabel("Password").fill("wrong");
    await page.getByRole("button", { name: "Log in" }).click();
    assert.match(await page.getByRole("alert").innerText(), /no such user/);
    assert.equal(await page.getByLabel("User").inputValue(), "reader");
    await page.getByLabel("Password").fill("secret-of-reader");
    await page.getByRole("button", { name: "Log in" }).click();
    assert.equal(await heading(page), "team/web/app");
    assert.equal(new URL(page.url()).search, "?sort=newest");
    const [cookie] = await page.context().cookies();
    assert.deepEqual([cookie.httpOnly, cookie.sameSite, cookie.path], [true, "Strict", "/ui/"]);
    assert.equal(await page.getByRole("button", { name: /Delete/ }).count(), 0);
    await page.getByRole("button", { name: "Log out" }).click();
    await page.goto(app);
    assert.equal(new URL(page.url()).pathname, "/ui/login");
    await page.context().close();
  });

  await check("a reader may not delete, whatever they send", async () => {
    const page = await reader("reader");
    await page.goto(app);
    const status = await page.evaluate(async (to) => (await fetch(to, { method: "POST", body: new URLSearchParams({ tag: "latest", confirmed: "1" }) })).status, `${app}/-/delete`);
    assert.equal(status, 403);
    await page.goto(`${app}/-/images/latest`);
    assert.equal(await heading(page), "latest");
    await page.context().close();
  });

  const admin = await reader("admin");

  await check("repositories: pages, search while typing, sorting", async () => {
    await admin.goto("/ui/");
    await shoot(admin, "repositories");
    await admin.getByRole("link", { name: "Next" }).click();
    await admin.getByRole("link", { name: "team/web/app" }).waitFor();
    await admin.goto("/ui/");
    await admin.keyboard.press("/");
    await admin.keyboard.type("service-4");
    await admin.getByText("10 found").waitFor();
    assert.equal(await admin.getByRole("row").count(), 11);
    assert.match(admin.url(), /q=service-4/);
    await admin.goto("/ui/");
    await admin.getByRole("link", { name: "Tags", exact: true }).click();
    assert.match(await admin.getByRole("row").nth(1).innerText(), /hostile\/app/);
    await accessible(admin);
  });

  await check("a repository: tags in the order of numbers, platforms, badges, search", async () => {
    await admin.goto(`${app}?untagged=1`);
    await shoot(admin, "repository");
    const tags = await admin.locator(".tags td.name a").allInnerTexts();
    assert.deepEqual(tags, ["1.8.0", "1.9.0", "1.10.0", "2.0.0", "latest", "old-1", "old-2", "old-3"]);
    const latest = await admin.getByRole("row").filter({ hasText: "latest" }).innerText();
    for (const part of ["linux/amd64", "linux/arm64", "signed", "SBOM", "attested"]) assert.ok(latest.includes(part), `${part} in ${latest}`);
    assert.match(latest, /just now|seconds ago/);
    await accessible(admin);
    await admin.keyboard.press("/");
    await admin.keyboard.type("1.1");
    await admin.getByText("1 tag with").waitFor();
  });

  await check("what a copy button copies is what is pasted", async () => {
    await admin.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await admin.goto(app);
    await admin.getByRole("row").filter({ hasText: "1.10.0" }).getByRole("button", { name: "Copy the pull command" }).click();
    assert.equal(await admin.evaluate(() => navigator.clipboard.readText()), `docker pull ${new URL(url).host}/team/web/app:1.10.0`);
  });

  await check("an image of many platforms: layers, configuration, referrers", async () => {
    await admin.goto(`${app}/-/images/latest`);
    await shoot(admin, "image");
    await accessible(admin);
    await admin.getByRole("link", { name: "linux/arm64" }).click();
    assert.equal(await admin.locator("[aria-current]").innerText(), "linux/arm64");
    for (const text of ["RUN make install-1", "8080/tcp", "/app", "application/spdx+json"]) await admin.getByText(text).first().waitFor();
    assert.equal(await admin.locator(".tree .depth2").count(), 1);
    await admin.getByText("Dockerfile, as far").click();
    await admin.getByText('CMD ["/app"]').waitFor();
    await admin.getByRole("link", { name: "Raw manifest", exact: true }).click();
    await admin.getByText('"manifests": [').waitFor();
    await accessible(admin);
    const [download] = await Promise.all([admin.waitForEvent("download"), admin.getByRole("link", { name: "Download" }).click()]);
    assert.equal(JSON.parse(fs.readFileSync(await download.path(), "utf8")).manifests.length, 3);
  });

  await check("a chart and an artifact are shown as what they are", async () => {
    await admin.goto("/ui/repositories/charts/nginx/-/images/15.0.0");
    await shoot(admin, "chart");
    for (const text of ["Helm chart", "A web server", "helm pull oci://"]) await admin.getByText(text).first().waitFor();
    await admin.goto("/ui/repositories/files/handbook/-/images/1");
    await shoot(admin, "artifact");
    await admin.getByText("handbook.pdf").waitFor();
    const row = admin.getByRole("row").filter({ hasText: "notes.txt" });
    const [download] = await Promise.all([admin.waitForEvent("download"), row.getByRole("link", { name: "Download" }).click()]);
    assert.equal(download.suggestedFilename(), "notes.txt");
    assert.equal(fs.readFileSync(await download.path(), "utf8"), "notes");
  });

  await check("two tags are compared", async () => {
    await admin.goto(app);
    await admin.getByRole("link", { name: "Compare two tags" }).click();
    await admin.getByLabel("From").fill("1.9.0");
    await admin.getByLabel("to", { exact: true }).fill("2.0.0");
    await admin.getByRole("button", { name: "Compare" }).click();
    assert.equal(await admin.getByText("− removed").count(), 2);
    assert.equal(await admin.getByText("= in both").count(), 1);
    assert.match(await admin.getByRole("row").filter({ hasText: "VERSION" }).innerText(), /1\.9\.0\s+2\.0\.0/);
    await shoot(admin, "compare");
    await accessible(admin);
  });

  await check("one tag is deleted, and only after a question", async () => {
    await admin.goto(app);
    assert.ok(await admin.getByRole("button", { name: "Delete chosen…" }).isDisabled());
    await admin.getByLabel("Choose old-1").check();
    await admin.getByRole("button", { name: "Delete 1 chosen…" }).click();
    await shoot(admin, "delete");
    await accessible(admin);
    assert.match(await admin.locator("main").innerText(), /Deleting this frees 9\d\.\d kB/);
    await admin.getByRole("link", { name: "Keep it" }).click();
    await admin.getByText("8 tags").waitFor();
    await admin.getByLabel("Choose old-1").check();
    await admin.getByRole("button", { name: "Delete 1 chosen…" }).click();
    await admin.getByRole("button", { name: "Delete", exact: true }).click();
    await admin.getByText("Deleted: 1 tag, 1 manifest.").waitFor();
    assert.equal(await admin.getByText("old-1").count(), 0);
  });

  await check("several tags are deleted at once", async () => {
    await admin.goto(`${app}?q=old-`);
    await admin.getByLabel("Choose all on this page").check();
    await admin.getByRole("button", { name: "Delete 2 chosen…" }).click();
    await admin.getByRole("button", { name: "Delete", exact: true }).click();
    await admin.getByText("Deleted: 2 tags, 2 manifests.").waitFor();
    await admin.getByText("5 tags").waitFor();
  });

  await check("a repository is deleted when its name is typed", async () => {
    await admin.goto("/ui/repositories/gone/soon");
    await admin.getByRole("button", { name: "Delete the repository…" }).click();
    await admin.getByLabel(/Type the name/).fill("gone/late");
    await admin.getByRole("button", { name: "Delete", exact: true }).click();
    await admin.getByText("That is not its name.").waitFor();
    await admin.getByLabel(/Type the name/).fill("gone/soon");
    await admin.getByRole("button", { name: "Delete", exact: true }).click();
    await admin.getByText("Deleted: gone/soon with 2 tags.").waitFor();
    assert.equal((await admin.goto("/ui/repositories/gone/soon")).status(), 404);
    await shoot(admin, "missing");
  });

  await check("who watches sees pushes and uploads without asking again", async () => {
    await admin.goto("/ui/");
    await admin.getByRole("link", { name: "Activity" }).click();
    await admin.getByText("Disk left").waitFor();
    await admin.getByText("gone/soon").first().waitFor();
    const api = (path, options) => fetch(`${url}${path}`, { ...options, headers: { ...options.headers, authorization: `Basic ${btoa("admin:secret-of-admin")}` } });
    const begun = await api("/v2/watched/app/blobs/uploads/", { method: "POST" });
    await api(begun.headers.get("location").replace(/^https?:\/\/[^/]*/, ""), { method: "PATCH", body: "x".repeat(4321) });
    await admin.getByRole("row").filter({ hasText: "watched/app" }).getByText("4.32 kB").waitFor();
    await shoot(admin, "activity");
    await accessible(admin);
    const manifest = await api("/v2/team/web/app/manifests/2.0.0", { headers: { accept: "application/vnd.oci.image.manifest.v1+json" } });
    const put = await api("/v2/team/web/app/manifests/watched-tag", { method: "PUT", body: await manifest.text(), headers: { "content-type": "application/vnd.oci.image.manifest.v1+json" } });
    assert.equal(put.status, 201);
    await admin.getByRole("link", { name: "watched-tag" }).waitFor();
    const page = await reader();
    await page.goto("/ui/activity");
    assert.equal(await page.getByText("team/").count(), 0);
    assert.equal(await page.getByText("Disk left").count(), 0);
    await page.context().close();
  });

  await check("garbage is looked for and collected by whom that is for", async () => {
    await admin.goto("/ui/activity");
    await admin.getByRole("button", { name: "Look what could go" }).click();
    await admin.getByText(/[1-9][0-9]* blobs of .* can go/).waitFor();
    const fact = admin.locator(".facts div").filter({ hasText: "Reclaimable" });
    assert.match(await fact.innerText(), /[1-9][0-9.]* kB in [1-9][0-9]* blobs, seen/);
    await shoot(admin, "collection");
    await accessible(admin);
    await admin.getByRole("button", { name: "Collect garbage" }).click();
    await admin.getByText(/The last run took away [0-9]+ links, put [0-9]+ blobs of .* into quarantine/).waitFor();
    assert.equal(await fact.count(), 0, "what was seen is seen no more");
    const page = await reader("reader");
    await page.goto("/ui/activity");
    await page.getByText("Last garbage collection").waitFor();
    assert.equal(await page.getByRole("button", { name: /Collect|Look/ }).count(), 0);
    const status = await page.evaluate(async () => (await fetch("/ui/collect", { method: "POST", body: new URLSearchParams({ run: "collect" }) })).status);
    assert.equal(status, 403);
    await page.context().close();
  });

  await check("requests, errors, latency and traffic of the last hours, which go on", async () => {
    await admin.goto("/ui/monitoring");
    const value = async (name) => admin.locator(".facts div").filter({ hasText: name }).locator("dd").innerText();
    const before = Number(await value("Requests"));
    assert.ok(before > 100, `${before} requests`);
    assert.match(await value("Received"), /[1-9.]+ MB/);
    assert.match(await value("99 of 100 within"), /[0-9.]+ m?s/);
    assert.equal(await admin.locator("figure svg path").count() >= 4, true);
    await shoot(admin, "monitoring");
    await accessible(admin);
    await admin.getByText("In numbers").click();
    await admin.getByRole("cell", { name: /^20..-.*Z$/ }).first().waitFor();
    await fetch(`${url}/v2/`);
    await admin.waitForFunction((before) => Number(document.querySelector(".facts dd").innerText) > before, before, { timeout: 20_000 });
    assert.ok(await admin.locator("#numbers").evaluate((details) => details.open), "what was opened stays open");
    await admin.getByRole("link", { name: "Last day" }).click();
    assert.equal(await admin.locator("figure svg rect").count(), 3 * 96);
    const page = await reader();
    await page.goto("/ui/monitoring");
    assert.equal(new URL(page.url()).pathname, "/ui/login");
    await page.context().close();
  });

  await check("what means no good is text, and nothing of it runs", async () => {
    await admin.goto("/ui/repositories/hostile/app");
    const links = await admin.locator(".tags td.name a").evaluateAll((found) => found.map((link) => link.getAttribute("href")));
    assert.equal(links.length, 16);
    for (const link of [...links, "/ui/repositories/hostile/app", "/ui/repositories/hostile/app/-/compare?from=t0&to=t5"]) {
      await admin.goto(link);
      await admin.waitForLoadState("networkidle");
      assert.equal(await isHacked(admin), undefined, link);
      const schemes = await admin.locator("a[href]").evaluateAll((found) => [...new Set(found.map((link) => new URL(link.href).protocol))]);
      assert.deepEqual(schemes.filter((scheme) => !["http:", "https:"].includes(scheme)), [], link);
      assert.equal(await admin.locator("main img, main script, main iframe, main svg").count(), 0, link);
      const width = await admin.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      assert.ok(width <= 0, `${link} is ${width} wider than the window`);
    }
    await admin.goto("/ui/repositories/hostile/app/-/images/t0");
    await shoot(admin, "hostile");
  });

  await check("without script all of it can be read and deleted", async () => {
    const page = await reader("admin", { javaScriptEnabled: false });
    await page.getByLabel("Search repositories").fill("service-1");
    await page.getByRole("button", { name: "Search" }).click();
    await page.getByText("10 found").waitFor();
    await page.getByRole("link", { name: "many/service-11" }).click();
    await page.getByRole("link", { name: "1.0", exact: true }).click();
    await page.getByText("Entrypoint").waitFor();
    await page.goto("/ui/repositories/many/service-11");
    await page.getByLabel("Choose 1.0").check();
    await page.getByRole("button", { name: "Delete chosen…" }).click();
    await page.getByRole("button", { name: "Delete", exact: true }).click();
    await page.getByText("Deleted: 1 tag, 1 manifest.").waitFor();
    await page.getByRole("link", { name: "Monitoring" }).click();
    await page.getByText("In numbers").click();
    await page.getByRole("cell", { name: /^20..-.*Z$/ }).first().waitFor();
    await page.context().close();
  });

  await check("on a phone, and in the dark", async () => {
    const page = await reader("admin", { viewport: { width: 390, height: 844 }, colorScheme: "dark", isMobile: true, deviceScaleFactor: 2 });
    for (const [to, name] of [["/ui/", "phone-repositories"], [app, "phone"], [`${app}/-/images/latest`, "phone-image"], [`${app}/-/compare?from=1.9.0&to=2.0.0`, "phone-compare"], ["/ui/activity", "phone-activity"], ["/ui/monitoring", "phone-monitoring"]]) {
      await page.goto(to);
      await shoot(page, name);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= 390), `${to} is wider than the phone`);
      await accessible(page);
    }
    const paper = await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
    assert.equal(paper, "rgb(18, 22, 29)");
    await page.context().close();
  });

  await check("on a screen of 3840 pixels, and by keyboard alone", async () => {
    const page = await reader("admin", { viewport: { width: 3840, height: 2160 } });
    await shoot(page, "wide");
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.className), "skip");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.id), "main");
    await page.context().close();
  });

  await check("nothing moves after a page is there", async () => {
    const page = await reader("admin");
    for (const to of ["/ui/", app, `${app}/-/images/latest`, "/ui/activity", "/ui/monitoring"]) {
      await page.goto(to);
      const shift = await page.evaluate(() => new Promise((tell) => {
        let sum = 0;
        new PerformanceObserver((list) => { for (const entry of list.getEntries()) sum += entry.value; }).observe({ type: "layout-shift", buffered: true });
        setTimeout(() => tell(sum), 300);
      }));
      assert.equal(shift, 0, to);
    }
    await page.context().close();
  });

  await check("the first page with all it needs is under 30 KiB on the wire", async () => {
    const page = await reader("admin");
    const session = await page.context().newCDPSession(page);
    await session.send("Network.enable");
    await session.send("Network.setCacheDisabled", { cacheDisabled: true });
    let bytes = 0;
    session.on("Network.loadingFinished", (event) => { bytes += event.encodedDataLength; });
    await page.goto("/ui/", { waitUntil: "networkidle" });
    assert.ok(bytes > 1_000 && bytes < 30 * 1024, `${bytes} bytes`);
    console.log(`      | ${bytes} bytes`);
    await page.context().close();
  });

  await check("no page asked anybody else for anything", () => assert.deepEqual(foreign, []));
  await check("no page complained", () => assert.deepEqual(complaints, []));
  await browser.close();
  console.log("all done");
  process.exit(failed ? 1 : 0);
})().catch((error) => {
  console.log(`FAIL  the browser: ${error.stack ?? error}`);
  process.exit(1);
});
