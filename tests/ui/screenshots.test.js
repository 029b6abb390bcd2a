// The pictures of the documentation: a node with some queues, backed up again and again while they
// fill. They go to where HOT_BACKUP_SCREENSHOTS says; docs/images is written to on request only.
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const {after, before, test} = require('node:test');
const {Broker} = require('./broker.js');
const {assert_no_complaints, launch, Session} = require('./browser.js');
const {until} = require('./until.js');

const wanted = process.env.HOT_BACKUP_SCREENSHOTS;
const directory = wanted || fs.mkdtempSync(path.join(os.tmpdir(), 'hot-backup-ui-'));
const queues = {orders: 'quorum', 'orders.retry': 'quorum', invoices: 'classic', mails: 'classic',
                'audit-log': 'classic'};

let broker, browser, admin;

before(async () => {
    broker = await Broker.start({configuration: [
        'hot_backup.schedule = 30 2 * * *', 'hot_backup.retention.keep_last = 7',
        'hot_backup.retention.keep_daily = 30', 'hot_backup.retention.keep_monthly = 12'
    ]});
    // Of what every throw-away broker has, only a little is to be seen.
    for (const {name} of await broker.api('GET', '/vhosts')) {
        if (name !== '/') await broker.api('DELETE', `/vhosts/${encodeURIComponent(name)}`);
    }
    for (const {name, exclusive} of await broker.api('GET', '/queues/%2F')) {
        if (!exclusive) await broker.api('DELETE', `/queues/%2F/${encodeURIComponent(name)}`);
    }
    await broker.api('PUT', '/vhosts/shop', {});
    await broker.allow('guest', 'shop');
    browser = await launch();
    admin = await Session.open(browser, broker, 'administrator');
    await admin.page.waitForSelector('#tabs');
});

after(async () => {
    await browser?.close();
    await broker?.stop();
    if (!wanted) fs.rmSync(directory, {recursive: true, force: true});
});

async function screenshot(name) {
    await admin.page.mouse.move(0, 0);
    await admin.page.evaluate(() => window.scrollTo(0, 0));
    await admin.page.screenshot({path: path.join(directory, `${name}.png`),
                                 animations: 'disabled'});
}

// The node counts the messages of a queue every few seconds.
function counted(messages) {
    return until('the statistics', 60_000, async () =>
        (await broker.api('GET', '/queues/shop')).every(queue => queue.messages === messages));
}

test('a list of backups', async () => {
    let messages = 0;
    for (let round = 0; round < 6; ++round) {
        messages += 5 + round * 3;
        for (const [name, type] of Object.entries(queues)) {
            await broker.addQueue('shop', name, 5 + round * 3, type);
        }
        await counted(messages);
        const id = await broker.backUp();
        if (round === 2) {
            await broker.api('PUT', `/hot-backup/backups/${id}/protection`,
                             {reason: 'before the upgrade'});
        }
    }
    await admin.openList();
    assert.equal(await admin.page.locator('.hb-backups tbody tr').count(), 6);
    const [{backup}] = await broker.backups();
    await admin.button('drill', backup).click();
    await admin.outcome('drill', 'done').waitFor();
    await admin.page.setViewportSize({width: 1320, height: 1150});
    await screenshot('ui-backups');
});

test('what is configured', async () => {
    const text = await admin.text();
    assert.match(text, /30 2 \* \* \*/);
    assert.match(text, /keep daily\s+30/);
});

test('one backup', async () => {
    const [{backup}] = await broker.backups();
    await admin.openBackup(backup);
    await admin.page.locator('.hb-queues tbody tr').nth(4).waitFor();
    await screenshot('ui-backup');
});

test('a restore', async () => {
    await admin.page.setViewportSize({width: 1320, height: 650});
    await admin.page.click(
        '.hb-queues tr:has(bdi:text-is("orders")) a:text-is("Restore this queue...")');
    await admin.page.fill('#hb-as', 'orders.rescue');
    await admin.button('plan').click();
    await admin.button('restore').waitFor();
    await screenshot('ui-restore');
    assert_no_complaints(admin);
});
