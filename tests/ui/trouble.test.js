// What the page Admin > Backups says when something is wrong, and what it says to those who may not
// see it.
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const {after, before, test} = require('node:test');
const {Broker} = require('./broker.js');
const {assert_no_complaints, launch, patience, refused, Session} = require('./browser.js');
const {until} = require('./until.js');

let broker, browser, admin;

before(async () => {
    broker = await Broker.start();
    await broker.backUp();
    browser = await launch();
    admin = await Session.open(browser, broker, 'administrator');
    await admin.page.waitForSelector('#tabs');
});

after(async () => {
    await browser?.close();
    await broker?.stop();
});

test('damage is told with what is damaged', async () => {
    const [{backup}] = await broker.backups();
    const packs = fs.readdirSync(broker.settings.REPOSITORY, {recursive: true})
        .filter(name => name.includes('packs') && name.includes(backup))
        .map(name => `${broker.settings.REPOSITORY}/${name}`)
        .filter(name => fs.statSync(name).isFile());
    const descriptor = fs.openSync(packs[0], 'r+');
    const byte = Buffer.alloc(1);
    const middle = Math.floor(fs.statSync(packs[0]).size / 2);
    fs.readSync(descriptor, byte, 0, 1, middle);
    fs.writeSync(descriptor, Buffer.from([byte[0] ^ 0xff]), 0, 1, middle);
    fs.closeSync(descriptor);

    await admin.openBackup(backup);
    await admin.button('verify', backup).click();
    await admin.outcome('verify', 'failed').waitFor();
    await admin.see(/1 of 1 backup damaged/);
    await admin.see(/Make a new backup now/);
    assert.ok(await admin.page.locator('.hb-findings li').count() > 0);
    await admin.openList();
    await admin.page.locator(`tr[data-backup="${backup}"] .status-red`).getByText(/damaged/)
        .waitFor();
    await admin.page.locator('[data-last-failure]').getByText(/damaged/).waitFor();
    assert_no_complaints(admin);
});

test('a repository that cannot be used is named, with a hint', async () => {
    await broker.setting('repository', '"/proc/no-backups-here"');
    await admin.openList();
    await admin.button('create').click();
    await until('the failure', patience, async () =>
        (await admin.text()).includes('/proc/no-backups-here'));
    const failed = admin.page.locator('.hb-error').first();
    await failed.waitFor();
    await broker.setting('repository', `"${broker.settings.REPOSITORY}"`);
    assert_no_complaints(admin, refused('(404|500)'));
});

test('a program that does not start is named, with its hint', async () => {
    const session = await Session.open(browser, broker, 'administrator', page =>
        page.route('**/api/hot-backup/status', async route => {
            const response = await route.fetch();
            const status = await response.json();
            status.program = {state: 'waiting', error: {
                code: 'failed', message: 'cannot start <program>',
                hint: 'Install it & try again.'
            }};
            await route.fulfill({response, json: status});
        }));
    await session.openList();
    await session.see('The backup program does not run: cannot start <program>');
    await session.see('Install it & try again.');
    assert_no_complaints(session);
    await session.close();
});

test('a broker that is gone is reported, and the page goes on when it is back', async () => {
    await admin.openList();
    await admin.page.route('**/api/hot-backup/**', route => route.abort());
    await admin.see(/the broker cannot be reached/);
    await admin.page.locator('#status').getByText(/could not connect/).waitFor();
    await admin.page.unroute('**/api/hot-backup/**');
    await admin.button('create').waitFor();
    assert_no_complaints(admin, /Failed to load resource: net::ERR_FAILED/);
});

for (const user of ['monitoring', 'management']) {
    test(`${user} users see and can do nothing`, async () => {
        const session = await Session.open(browser, broker, user);
        await session.page.click('#tabs a:text-is("Admin")');
        await session.page.waitForSelector('#rhs a');
        assert.equal(await session.page.locator('a:text-is("Backups")').count(), 0);
        for (const address of ['#/hot-backup', '#/hot-backup/backups/x',
                               '#/hot-backup/backups/x/restore/%2F/orders']) {
            await session.visit(address);
            await session.see(/Only administrators/);
            assert.equal(await session.page.locator('#main button').count(), 0);
        }
        assert_no_complaints(session);
        await session.close();
    });
}

test('a user without tags does not get in', async () => {
    const session = await Session.open(browser, broker, 'nobody');
    await session.page.getByText('Login failed').waitFor();
    await session.visit('#/hot-backup');
    await session.page.waitForSelector('input[name=password]');
    assert.equal(await session.page.getByText('Back up now').count(), 0);
    assert_no_complaints(session, refused(401));
    await session.close();
});
