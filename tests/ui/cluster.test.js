// The page of a cluster's nodes: one backup of all of them, how far each is, and what a missing node
// means.
'use strict';

const assert = require('node:assert/strict');
const {after, before, test} = require('node:test');
const {Broker} = require('./broker.js');
const {assert_no_complaints, launch, patience, Session} = require('./browser.js');
const {until} = require('./until.js');

let broker, other, browser, admin, elsewhere;

before(async () => {
    broker = await Broker.start({nodes: 2});
    [other] = broker.others;
    await broker.addQueue('/', 'both', 3, 'quorum');
    await other.addQueue('/', 'far', 3);
    browser = await launch();
    admin = await Session.open(browser, broker, 'administrator');
    elsewhere = await Session.open(browser, other, 'administrator');
    for (const session of [admin, elsewhere]) {
        await session.page.waitForSelector('#tabs');
        await session.openList();
    }
});

after(async () => {
    await browser?.close();
    await broker?.stop();
});

test('every page shows how far all nodes are', async () => {
    for (const node of [broker, other]) await node.setting('rate_limit', 40000);
    await admin.button('create').click();
    for (const session of [admin, elsewhere]) {
        const rows = session.page.locator('.hb-job[data-running=backup] ~ .hb-nodes tbody tr');
        await until('the progress of both', patience, async () => {
            const texts = await rows.allInnerTexts();
            return texts.length === 2 && texts.every(text => /[\d.]+ \w*B of [\d.]+ \w*B/.test(text));
        });
        const names = (await rows.locator('td:first-child').allInnerTexts()).sort();
        assert.deepEqual(names, [broker.settings.NODE, other.settings.NODE].sort());
    }
    for (const node of [broker, other]) await node.setting('rate_limit', 0);
    await admin.page.locator('.hb-job[data-running=backup] button').click();
    for (const session of [admin, elsewhere]) {
        await session.outcome('backup', 'cancelled').waitFor();
        assert.equal(await session.page.locator('.hb-nodes').count(), 0);
        assert_no_complaints(session);
    }
});

test('the backup of all is on every page, with the pause of each and their overlap', async () => {
    await admin.button('create').click();
    await admin.outcome('backup', 'done').waitFor();
    await admin.see(/2 nodes stood still together, none for longer than \d+\.\d ms\./);
    const [{backup}] = await broker.backups();
    for (const session of [admin, elsewhere]) {
        await session.openList();
        await session.page.locator(`tr[data-backup="${backup}"]`).getByText(/cluster .*, 2 nodes/)
            .waitFor();
        await session.openBackup(backup);
        await session.see(/^at most \d+\.\d ms, all together .*\(proven by .*\), \d+ attempt/);
        const parts = await session.page.locator('.hb-parts tbody tr').allInnerTexts();
        assert.equal(parts.length, 2);
        for (const node of [broker, other]) {
            assert.ok(parts.some(part => part.includes(node.settings.NODE) &&
                                         /\d+\.\d ms/.test(part)));
        }
        assert.equal(await session.page.locator('.hb-affected').count(), 0);
        // Each node shows its own files.
        await session.page.locator('h2:text-is("Files")').click();
        await session.see(new RegExp(`^Those of ${session.broker.settings.NODE}: `));
        await session.page.locator('.hb-files tbody tr').first().waitFor();
        await session.page.locator('h2:text-is("Configuration")').click();
        await session.page.locator('.hb-configuration').first().waitFor();
        assert_no_complaints(session);
    }
});

test('a node that is missing is named, with the queues that it matters for', async () => {
    await other.rabbitmqctl('stop_app');
    const {id} = await broker.api('POST', '/hot-backup/backups',
                                  {allow_missing: [other.settings.NODE]});
    const {backup} = await broker.finished(id);
    await admin.openBackup(backup);
    await admin.see(other.settings.NODE);
    const row = name => admin.page.locator('.hb-affected tr', {hasText: name});
    assert.match(await row('far').innerText(), /0 of 1\s+lost/);
    assert.match(await row('both').innerText(), /1 of 2\s+no quorum/);
    assert_no_complaints(admin);
    await other.rabbitmqctl('start_app');
});
