// Every button of the page Admin > Backups, as an administrator, against a real broker; and names
// that are markup.
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const {after, before, test} = require('node:test');
const {Broker} = require('./broker.js');
const {assert_no_complaints, launch, patience, refused, Session} = require('./browser.js');
const {until} = require('./until.js');

// Markup, quotes, right-to-left text with an override, emoji, a pattern's characters, spaces.
const hostile_queues = [
    '<img src=x onerror="window.hacked=true">', '"quoted\' & <b>bold</b>',
    '\u05e2\u05d1\u05e8\u05d9\u05ea \u202e dlrow', '🐇🥕 emoji', 'a*b?[c]\\d',
    'two  spaces ', '%2F/slash + plus', 'n'.repeat(255)
];
const hostile_vhost = '"><script>window.hacked=true</script>';

let broker, browser, admin;

before(async () => {
    broker = await Broker.start();
    await broker.api('PUT', `/vhosts/${encodeURIComponent(hostile_vhost)}`, {});
    await broker.allow('guest', hostile_vhost);
    for (const name of hostile_queues) await broker.addQueue(hostile_vhost, name, 2);
    await broker.addQueue('/', 'orders', 12);
    await broker.addQueue('/', 'orders.quorum', 7, 'quorum');
    browser = await launch();
    admin = await Session.open(browser, broker, 'administrator');
});

after(async () => {
    await browser?.close();
    await broker?.stop();
});

// Does something while backups take their time.
async function slowly(something) {
    await broker.setting('rate_limit', 40000);
    try {
        await something();
    } finally {
        await broker.setting('rate_limit', 0);
    }
}

test('the page is found by its tab, and is empty at first', async () => {
    await admin.page.click('#tabs a:text-is("Admin")');
    await admin.page.click('#rhs a:text-is("Backups")');
    await admin.see('... no backups ...');
    await admin.button('create').waitFor();
    assert.equal(await admin.page.locator('.hb-chart').count(), 0);
    const text = await admin.text();
    assert.match(text, /Schedule\s+Backup\s+none/);
    assert.match(text, /Retention\s+everything is kept/);
    assert.match(text, /Last failure\s+none/);
    assert.match(text, /Free space\s+[\d.]+ \wiB of [\d.]+ \wiB/);
    assert_no_complaints(admin);
});

test('a backup shows its progress and can be cancelled', () => slowly(async () => {
    await admin.button('create').click();
    const job = admin.page.locator('.hb-job[data-running=backup]');
    await job.waitFor();
    assert.equal(await admin.button('create').count(), 0);
    // Phase, bytes, speed, remaining time.
    await job.getByText(/\w+, [\d.]+ \w*B of [\d.]+ \w*B, [\d.]+ \w*B\/s, .* left/).waitFor();
    const progress = job.locator('progress');
    assert.ok(Number(await progress.getAttribute('max')) > 0);
    const value = async () => Number(await progress.getAttribute('value'));
    const first = await value();
    await until('progress', patience, async () => await value() > first);

    admin.answer = null;
    await job.locator('button').click();
    assert.match(admin.dialogs.pop(), /^Cancel this backup\?/);
    assert.equal((await broker.api('GET', '/hot-backup/status')).running.length, 1);
    admin.answer = '';
    await job.locator('button').click();
    await admin.outcome('backup', 'cancelled').waitFor();
    await admin.see('... no backups ...');
    assert_no_complaints(admin);
}));

test('Back up now makes one, and says what pause it cost', async () => {
    await admin.button('create').click();
    await admin.outcome('backup', 'done').waitFor();
    await admin.see(/The node stood still for \d+\.\d ms\./);
    // It is verified without being asked for.
    await admin.outcome('verify', 'done').waitFor();
    const [backup] = await broker.backups();
    const row = admin.page.locator(`tr[data-backup="${backup.backup}"]`);
    const cells = (await row.locator('td').allInnerTexts()).map(text => text.trim());
    assert.match(cells[0], /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\s+\S+Z\s/);
    assert.match(cells[1], /^\d+ (s|min)$/);
    assert.match(cells[3], /iB$/);
    assert.equal(cells[4], `${(backup.cut.pause_us / 1000).toFixed(1)} ms`);
    assert.equal(cells[5].replaceAll(',', ''), String(backup.counts.queues));
    assert.ok(cells[0].includes(broker.settings.NODE));
    await admin.see(/^[\d.]+ \wiB of [\d.]+ \wiB$/);  // free
    assert_no_complaints(admin);
});

test('a second backup at the same time is refused', () => slowly(async () => {
    const {id} = await broker.api('POST', '/hot-backup/backups', {});
    // The page has not noticed yet, or has been open all the while.
    await admin.page.evaluate(() => {
        const button = document.createElement('button');
        button.dataset.action = 'create';
        document.querySelector('#main h1').append(button);
        button.click();
    });
    await admin.page.locator('.form-popup-warn').getByText(/backup/).waitFor();
    await admin.page.locator('.form-popup-warn span').click();
    await broker.api('DELETE', `/hot-backup/jobs/${id}`);
    await admin.outcome('backup', 'cancelled').waitFor();
    assert_no_complaints(admin, refused(409));
}));

test('Verify and Restore drill say what they found', async () => {
    await admin.openList();
    const [{backup}] = await broker.backups();
    const row = admin.page.locator(`tr[data-backup="${backup}"]`);
    await admin.button('verify', backup).click();
    await admin.outcome('verify', 'done').getByText(/every byte is as it was/).waitFor();
    await row.locator('.status-green', {hasText: /checksums\s+\d+ s ago/}).waitFor();
    await admin.button('drill', backup).click();
    await admin.page.locator('.hb-job[data-running=drill]').waitFor();
    await admin.outcome('drill', 'done').getByText(/Booted RabbitMQ .*: 0 differences/).waitFor();
    await row.locator('.status-green', {hasText: /booted\s+\d+ s ago/}).waitFor();
    assert_no_complaints(admin);
});

test('a protected backup cannot be deleted', async () => {
    const [{backup}] = await broker.backups();
    admin.answer = null;
    await admin.button('protect', backup).click();
    assert.equal((await broker.backups())[0].protected, false);

    const reason = 'before the <b>upgrade</b> & "audit"';
    admin.answer = reason;
    await admin.button('protect', backup).click();
    await admin.page.locator(`tr[data-backup="${backup}"] abbr:text-is("protected")`).waitFor();
    assert.equal((await broker.backups())[0].protection.reason, reason);
    assert.equal(await admin.page.locator(`tr[data-backup="${backup}"] abbr:text-is("protected")`)
                 .getAttribute('title'), reason);
    assert.ok(await admin.button('remove', backup).isDisabled());
    admin.answer = '';
    await admin.button('unprotect', backup).click();
    await admin.button('protect', backup).waitFor();
    assert.equal((await broker.backups())[0].protected, false);
    assert_no_complaints(admin);
});

test('Download gives the whole archive', async () => {
    const [{backup, stored_bytes: bytes}] = await broker.backups();
    const [download] = await Promise.all([admin.page.waitForEvent('download'),
                                          admin.button('download', backup).click()]);
    const file = await download.path();
    assert.match(download.suggestedFilename(), new RegExp(`${backup}.*\\.tar$`));
    assert.ok(fs.statSync(file).size > bytes);
    assert.equal(fs.readFileSync(file).subarray(257, 262).toString(), 'ustar');
    assert_no_complaints(admin);
});

test('the page of a backup shows what is in it', async () => {
    const [{backup}] = await broker.backups();
    await admin.page.click(`tr[data-backup="${backup}"] td a`);
    await admin.page.waitForSelector(`h1:has-text("${backup}")`);
    const text = await admin.text();
    assert.match(text, /Pause\s+\d+\.\d ms \(/);
    assert.match(text, /Verified by checksums\s+intact/);
    assert.match(text, /Restore drill\s+same/);
    const vhosts = await admin.page.locator('.hb-vhosts tbody td:first-child').allInnerTexts();
    assert.ok(vhosts.includes(hostile_vhost));
    // Its queues have two messages each.
    const totals = await admin.page
        .locator('.hb-vhosts tr', {has: admin.page.locator(`bdi:text-is(${JSON.stringify(hostile_vhost)})`)})
        .locator('td').allInnerTexts();
    assert.equal(totals[1], String(hostile_queues.length));
    assert.equal(totals[2], String(2 * hostile_queues.length));
    const log = await admin.page.locator('.hb-log tbody tr').allInnerTexts();
    for (const event of ['begin', 'pass', 'checkpoint', 'stop', 'publish', 'verified', 'booted']) {
        assert.ok(log.some(line => line.split('\t')[1] === event), `${event} in ${log.join('|')}`);
    }
    assert.ok(log.some(line => /stood still for \d+\.\d ms/.test(line)));
    await admin.page.click('h2:text-is("Versions and plugins")');
    await admin.see('rabbitmq_management');
    await admin.page.click('h2:text-is("Configuration")');
    const configuration = admin.page.locator('.hb-configuration', {hasText: 'rabbitmq.conf'}).first();
    await configuration.locator('summary').click();
    await configuration.locator('pre').getByText(/management\./).first().waitFor();
    // It stays unfolded when the page is loaded again.
    await admin.page.evaluate(() => { window.timer_interval = 100; });
    await admin.page.waitForResponse(response => response.url().endsWith('/status'));
    await admin.page.waitForResponse(response => response.url().endsWith('/status'));
    await admin.page.evaluate(() => { window.timer_interval = 5000; });
    assert.equal(await configuration.getAttribute('open'), '');
    await admin.page.click('h2:text-is("Files")');
    const files = admin.page.locator('.hb-files tbody');
    await files.getByText('configuration/rabbitmq.conf', {exact: true}).waitFor();
    assert.match(await files.locator('tr', {hasText: 'rabbitmq.conf'}).first().innerText(),
                 /\b[0-9a-f]{32}\b/);
    const [definitions] = await Promise.all([admin.page.waitForEvent('download'),
                                             admin.button('definitions').click()]);
    const vhost_names = JSON.parse(fs.readFileSync(await definitions.path(), 'utf8'))
        .vhosts.map(vhost => vhost.name);
    assert.ok(vhost_names.includes(hostile_vhost));
    assert_no_complaints(admin);
});

test('what a backup holds is loaded once', async () => {
    const asked = [];
    const note = request => asked.push(new URL(request.url()).pathname);
    admin.page.on('request', note);
    for (let round = 0; round < 3; ++round) {
        await admin.page.waitForResponse(response => response.url().endsWith('/status'));
    }
    admin.page.off('request', note);
    assert.deepEqual([...new Set(asked)].filter(path => /backups\/\d/.test(path)), []);
});

test('queues are filtered and sorted', async () => {
    const names = admin.page.locator('.hb-queues tbody td:nth-child(2)');
    const filter = admin.page.locator('[data-control=filter][data-listing=queues]');
    await filter.fill('orders');
    await filter.press('Enter');
    await until('the filter', patience, async () =>
        (await names.allInnerTexts()).every(name => name.includes('orders')));
    assert.ok((await names.allInnerTexts()).includes('orders'));
    await admin.page.click('.hb-queues a[data-sort=messages]');
    await until('the order', patience, async () =>
        (await names.allInnerTexts()).join().startsWith('orders.quorum,orders'));
    await admin.page.click('.hb-queues a[data-sort=messages]');
    await until('the other order', patience, async () =>
        (await names.allInnerTexts()).join().startsWith('orders,orders.quorum'));
    // One that is no regular expression is refused and can be corrected.
    await filter.fill('[');
    await filter.press('Enter');
    await admin.page.locator('[data-control=regex][data-listing=queues]').check();
    await admin.see(/no regular expression/);
    await filter.fill('^orders$');
    await filter.press('Enter');
    await until('the expression', patience, async () =>
        (await names.allInnerTexts()).join() === 'orders');
    assert_no_complaints(admin, refused(400));
});

test('names are shown as they are and never become markup', async () => {
    const [{backup}] = await broker.backups();
    await admin.visit('#/');
    await admin.page.waitForSelector('h1:text-is("Overview")');
    await admin.openBackup(backup);
    const names = admin.page.locator('.hb-queues tbody td:nth-child(2) bdi');
    await names.first().waitFor();
    const shown = await names.evaluateAll(cells => cells.map(cell => cell.textContent));
    for (const name of hostile_queues) assert.ok(shown.includes(name), name);
    assert.equal(await admin.page.evaluate(() => window.hacked), undefined);
    assert.equal(await admin.page.locator('#main img, #main script').count(), 0);
    // The page does not become wider than the window.
    assert.ok(await admin.page.evaluate(
        () => document.documentElement.scrollWidth <= window.innerWidth));
    // Each name finds its way to the page of its restore, and the broker knows the queue by it.
    for (const name of hostile_queues) {
        const row = admin.page.locator('.hb-queues tbody tr')
            .nth(shown.indexOf(name));
        await row.locator('a').click();
        await admin.page.waitForSelector('#hb-restore-form');
        assert.equal(await admin.page.locator('#hb-restore-form bdi').nth(1).textContent(), name);
        await admin.button('plan').click();
        await admin.see(/about 2 messages/);
        await admin.page.goBack();
        await names.first().waitFor();
    }
    assert_no_complaints(admin);
});

test('Restore this queue leads through a dry run', async () => {
    const [{backup}] = await broker.backups();
    await admin.openBackup(backup);
    const link = '.hb-queues tr:has(bdi:text-is("orders")) a:text-is("Restore this queue...")';
    await admin.page.click(link);
    assert.equal(await admin.button('restore').count(), 0);
    await admin.page.fill('#hb-as', 'orders.rescue');
    await admin.page.fill('#hb-rate', 'much');
    await admin.button('plan').click();
    await admin.page.locator('.form-popup-warn').getByText(/not much/).waitFor();
    await admin.page.fill('#hb-rate', '50');
    await admin.button('plan').click();
    await admin.see(/about 12 messages/);
    await admin.see(/queue orders\.rescue in vhost \//);
    const queues = async () => (await broker.api('GET', '/queues/%2F')).map(queue => queue.name);
    assert.ok(!(await queues()).includes('orders.rescue'));

    // A plan for something else does not stay.
    await admin.page.fill('#hb-as', 'orders.other');
    await admin.button('restore').waitFor({state: 'detached'});
    await admin.page.fill('#hb-as', 'orders.rescue');
    await admin.button('plan').click();
    await admin.button('restore').click();
    await admin.page.locator('.hb-job[data-running=restore]').waitFor();
    await admin.outcome('restore', 'done').getByText(/12 messages delivered/).waitFor();
    assert.equal(await broker.messagesIn('/', 'orders.rescue'), 12);
    assert.equal(await broker.messagesIn('/', 'orders'), 12);
    assert_no_complaints(admin);
    // What RabbitMQ's own page then shows is not ours: its statistics may fail on a busy machine.
    await admin.page.click('a:text-is("See the queue")');
    await admin.page.waitForURL('**/#/queues/%2F/orders.rescue');
    await admin.openList();
    admin.complaints.length = 0;
});

test('the list is sorted and paged, and its chart shows each backup', async () => {
    while ((await broker.backups()).length < 4) await broker.backUp();
    await admin.openList();
    await admin.page.locator('.hb-chart .hb-bar').nth(3).waitFor({state: 'attached'});
    assert.equal(await admin.page.locator('.hb-chart .hb-point').count(), 4);
    const ids = async () => admin.page.locator('.hb-backups tbody tr')
        .evaluateAll(rows => rows.map(row => row.dataset.backup));
    const newest_first = (await broker.backups()).map(backup => backup.backup);
    assert.deepEqual(await ids(), newest_first);
    await admin.page.click('.hb-backups a[data-sort=instant]');
    await until('the oldest first', patience, async () =>
        (await ids()).join() === [...newest_first].reverse().join());
    const size = admin.page.locator('[data-control=page_size]');
    await size.fill('3');
    await size.press('Enter');
    await until('a page of three', patience, async () => (await ids()).length === 3);
    await admin.page.selectOption('[data-control=page]', '2');
    await until('the second page', patience, async () =>
        (await ids()).join() === newest_first[0]);
    assert_no_complaints(admin);
});

test('Delete asks first, and a page that is empty then is left', async () => {
    const [{backup}] = await broker.backups();
    admin.answer = null;
    await admin.button('remove', backup).click();
    assert.match(admin.dialogs.pop(), new RegExp(`^Delete backup ${backup}\\?`));
    assert.equal((await broker.backups()).length, 4);
    admin.answer = '';
    await admin.button('remove', backup).click();
    await admin.page.locator(`tr[data-backup="${backup}"]`).waitFor({state: 'detached'});
    assert.equal((await broker.backups()).length, 3);
    await admin.page.locator('.hb-backups tbody tr').nth(2).waitFor();
    // From its own page there is nothing to stay for.
    const [{backup: next}] = await broker.backups();
    await admin.openBackup(next);
    await admin.button('remove', next).click();
    await admin.page.waitForSelector('h1:text-is("Backups")');
    assert.equal((await broker.backups()).length, 2);
    // The second page of the list is not there any more, nor is what was still being read of a backup.
    assert_no_complaints(admin, refused('40[04]'));
});

async function close_popup() {
    await admin.page.locator('.form-popup-warn span').click();
    await admin.page.locator('.form-popup-warn').waitFor({state: 'detached'});
}

test('Prune says what would go, and asks before it does', async () => {
    await broker.backUp();
    await admin.page.reload();
    await admin.openList();
    await admin.page.click('h2:text-is("Prune")');
    await admin.button('plan_prune').click();
    await admin.page.locator('.form-popup-warn').getByText(/no retention is configured/).waitFor();
    await close_popup();
    await admin.page.fill('#hb-keep-last', 'many');
    await admin.button('plan_prune').click();
    await admin.page.locator('.form-popup-warn').getByText(/not many/).waitFor();
    await close_popup();

    const before = await broker.backups();
    await admin.page.fill('#hb-keep-last', String(before.length - 1));
    await admin.button('plan_prune').click();
    await admin.see(/1 backup would go/);
    const oldest = before.at(-1).backup;
    const rows = admin.page.locator('.hb-decisions tbody tr');
    assert.equal(await rows.count(), before.length);
    assert.match(await rows.filter({hasText: oldest}).innerText(), /goes/);
    assert.match(await rows.filter({hasText: before[0].backup}).innerText(), /stays: .*last/);
    admin.answer = null;
    await admin.button('prune').click();
    assert.match(admin.dialogs.pop(), /^Delete 1 backup\?/);
    assert.equal((await broker.backups()).length, before.length);
    admin.answer = '';
    await admin.button('prune').click();
    await until('the oldest to be gone', patience, async () =>
        (await broker.backups()).every(({backup}) => backup !== oldest));
    await admin.button('prune').waitFor({state: 'detached'});
    assert_no_complaints(admin, refused(409));
});
